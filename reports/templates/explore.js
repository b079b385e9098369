// Lets a reader of a recording's page choose a cgroup and a period, and see whom it waited for in it. Without this
// script the page has the same chart, whole, and every table. All text goes in as text: names are chosen by tenants.
"use strict";
(() => {
  const { since, moments, cgroups, events, unit, steps_s: STEPS } = JSON.parse(document.getElementById("by-moment").textContent);
  const figure = document.getElementById("over-time");
  const PANELS = 6, LEFT = 44, RIGHT = 12, TOP = 20, AXIS = 42;
  const WHOLE = [0, moments[moments.length - 1][1]];
  // The clock of the host that was recorded, not of the reader.
  const zone = since.slice(19), at0 = Date.parse(`${since.slice(0, 19)}Z`) / 1000;
  const marks = events.map((event) => [event.begin_s, event.end_s]);
  let period = WHOLE, chosen = null, drag = null;

  const element = (name, attributes = {}, text = "") => {
    const made = document.createElementNS(name in HTML ? HTML[name] : "http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const HTML = Object.fromEntries(
    ["div", "p", "label", "select", "option", "button", "table", "thead", "tbody", "tr", "th", "td", "code"].map(
      (name) => [name, "http://www.w3.org/1999/xhtml"]));
  const clock = (second, tenths = false) => new Date(Math.round((at0 + second) * 10) * 100)
    .toISOString().slice(11, tenths ? 21 : 19);
  // As reports.figures.in_unit has it.
  const figureOf = (ns) => {
    const value = ns / unit.scale, shown = Number(value.toPrecision(3));
    return Math.abs(shown) >= 1000 ? Math.round(value).toLocaleString("en-GB")
      : shown.toLocaleString("en-GB", { maximumSignificantDigits: 3, useGrouping: false });
  };
  const within = () => moments.flatMap(([begin, end], index) =>
    (begin + end) / 2 >= period[0] && (begin + end) / 2 <= period[1] ? [index] : []);
  const sum = (values, places) => places.reduce((total, place) => total + values[place], 0);

  const svg = element("svg", { class: "chart", tabindex: "0", role: "application",
    "aria-label": "Tasks waiting over time. Arrow keys move, plus and minus zoom, 0 shows the whole time." });
  const select = element("select", { id: "explore-cgroup" });
  select.append(element("option", { value: "" }, "all (choose one to see whom it waited for)"));
  cgroups.forEach((cgroup, index) => select.append(element("option", { value: index }, cgroup.name)));
  const label = element("label", { for: "explore-cgroup" }, "Cgroup ");
  const bar = element("div", { class: "tools" });
  const button = (text, title, act) => {
    const made = element("button", { type: "button", title }, text);
    made.addEventListener("click", act);
    return made;
  };
  const about = element("p", { class: "note", "aria-live": "polite" });
  const result = element("div", { class: "scroll", role: "region", "aria-label": "Whom it waited for" });
  bar.append(label, select,
    button("−", "zoom out (-)", () => zoom(2)), button("+", "zoom in (+)", () => zoom(0.5)),
    button("◀", "earlier (left arrow)", () => move(-0.5)), button("▶", "later (right arrow)", () => move(0.5)),
    button("Whole time", "show all (0, or a double click)", () => show(WHOLE)));
  const tools = element("div", { class: "explore" });
  tools.append(bar, svg, about, result);
  figure.before(tools);
  figure.classList.add("explored");

  function show([begin, end]) {
    const shortest = Math.min(...moments.map(([from, to]) => to - from)), length = WHOLE[1];
    const wide = Math.min(length, Math.max(end - begin, shortest));
    const first = Math.min(Math.max(0, begin), length - wide);
    period = [first, first + wide];
    draw();
  }
  function zoom(by) {
    const [begin, end] = period, half = (end - begin) * by / 2, middle = (begin + end) / 2;
    show([middle - half, middle + half]);
  }
  function move(by) {
    const [begin, end] = period, way = (end - begin) * by;
    show([begin + way, end + way]);
  }

  function draw() {
    const width = Math.max(280, Math.round(tools.clientWidth)), [begin, end] = period;
    const shown = chosen === null ? cgroups.slice(0, PANELS) : [cgroups[chosen]];
    const panel = chosen === null ? 74 : 190, height = shown.length * panel + AXIS;
    const x = (second) => LEFT + (second - begin) / (end - begin) * (width - LEFT - RIGHT);
    const places = moments.flatMap(([from, to], index) => to > begin && from < end ? [index] : []);
    const clip = (second) => Math.min(end, Math.max(begin, second));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    let label = null;  // of events that begin at nearly one place
    marks.forEach(([from, to], number) => {
      if (to <= begin || from >= end) return;
      const mark = element("rect", { class: "event", x: x(clip(from)), y: 0, height: height - AXIS,
        width: Math.max(2, x(clip(to)) - x(clip(from))) });
      mark.append(element("title", {}, events[number].text));
      svg.append(mark);
      if (label !== null && Math.abs(x(clip(from)) + 3 - label.getAttribute("x")) < 16) {
        label.textContent += `, ${number + 1}`;
      } else {
        label = element("text", { class: "number", x: x(clip(from)) + 3, y: 11 }, number + 1);
        svg.append(label);
      }
    });
    shown.forEach((cgroup, row) => {
      const bottom = (row + 1) * panel, high = bottom - panel + TOP;
      const top = Math.max(0.001, ...places.map((place) => cgroup.waiting[place]));
      const y = (value) => bottom - value / top * (bottom - high);
      let path = "", last = null;
      for (const place of places) {
        const [from, to] = moments[place], height_ = y(cgroup.waiting[place]);
        // A gap as long as the moment before it was not recorded.
        const gap = last === null || from - moments[last][1] > moments[last][1] - moments[last][0];
        if (gap && last !== null) path += `V${bottom}`;
        path += `${gap ? `M${x(clip(from))} ${bottom}` : ""}V${height_}H${x(clip(to))}`;
        last = place;
      }
      if (last !== null) path += `V${bottom}`;
      svg.append(element("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }),
        element("path", { class: "waiting", d: path }),
        element("text", { class: "name", x: LEFT + 14, y: high - 6 }, cgroup.name),
        element("text", { class: "tick", x: LEFT - 5, y: high + 4, "text-anchor": "end" }, top.toPrecision(2)),
        element("text", { class: "tick", x: LEFT - 5, y: bottom, "text-anchor": "end" }, "0"));
    });
    const most = Math.max(2, Math.floor((width - LEFT - RIGHT) / 85));
    const step = STEPS.find((each) => (end - begin) / each <= most) ?? STEPS[STEPS.length - 1];
    for (let tick = Math.ceil((at0 + begin) / step) * step - at0; tick <= end; tick += step) {
      svg.append(element("line", { class: "axis", x1: x(tick), x2: x(tick), y1: height - AXIS, y2: height - AXIS + 5 }),
        element("text", { class: "tick", x: x(tick), y: height - AXIS + 18,
          "text-anchor": x(tick) < LEFT + 25 ? "start" : x(tick) > width - 30 ? "end" : "middle" },
        clock(tick, step < 1)));
    }
    svg.append(element("text", { class: "tick", x: LEFT, y: height - 2 }, `time of day (${zone})`));
    if (drag !== null) svg.append(element("rect", { class: "drag", x: Math.min(...drag), y: 0,
      width: Math.abs(drag[1] - drag[0]), height: height - AXIS }));
    tell();
  }

  function tell() {
    const places = within();
    result.replaceChildren();
    if (places.length === 0) {
      about.textContent = "Nothing was recorded in this period.";
      return;
    }
    const from = moments[places[0]][0], to = moments[places[places.length - 1]][1];
    const tenths = to - from < 10;
    const when = `${clock(from, tenths)} to ${clock(to, tenths)} ${zone}`;
    if (chosen === null) {
      about.textContent = `Tasks that waited for a CPU, mean numbers, ${when}. Drag over a part to look closer.`;
      return;
    }
    const cgroup = cgroups[chosen];
    const waits = cgroup.waited_for.map(({ name, wait_ns }) => [name, sum(wait_ns, places)])
      .filter(([, wait]) => wait > 0).sort(([, one], [, other]) => other - one);
    const all = waits.reduce((total, [, wait]) => total + wait, 0);
    about.textContent = waits.length ? `${cgroup.name} waited for a CPU, ${when}:`
      : `${cgroup.name} did not wait, ${when}.`;
    if (waits.length === 0) return;
    const table = element("table"), head = element("thead"), body = element("tbody"), names = element("tr");
    names.append(element("th", { scope: "col" }, "Waited for"),
      element("th", { scope: "col", class: "figure" }, `Wait (${unit.name})`),
      element("th", { scope: "col", class: "figure" }, "Share"));
    for (const [name, wait] of waits) {
      const row = element("tr"), cell = element("td", { class: "name" });
      cell.append(element("code", {}, name));
      row.append(cell, element("td", { class: "figure" }, figureOf(wait)),
        element("td", { class: "figure" }, `${(100 * wait / all).toFixed(1)}\u00a0%`));
      ["Waited for", `Wait (${unit.name})`, "Share"].forEach((heading, column) =>
        row.children[column].setAttribute("data-heading", heading));
      body.append(row);
    }
    head.append(names);
    table.append(head, body);
    result.append(table);
  }

  const place = (event) => {
    const box = svg.getBoundingClientRect(), width = svg.viewBox.baseVal.width;
    return Math.min(width - RIGHT, Math.max(LEFT, (event.clientX - box.left) * width / box.width));
  };
  const second = (at) => period[0] + (at - LEFT) / (svg.viewBox.baseVal.width - LEFT - RIGHT) * (period[1] - period[0]);
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    svg.setPointerCapture(event.pointerId);
    drag = [place(event), place(event)];
  });
  svg.addEventListener("pointermove", (event) => {
    if (drag === null) return;
    drag[1] = place(event);
    draw();
  });
  svg.addEventListener("pointerup", () => {
    if (drag === null) return;
    const [from, to] = drag.sort((one, other) => one - other);
    drag = null;
    if (to - from > 4) show([second(from), second(to)]);
    else draw();
  });
  svg.addEventListener("pointercancel", () => { drag = null; draw(); });
  svg.addEventListener("dblclick", () => show(WHOLE));
  svg.addEventListener("keydown", (event) => {
    const act = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(WHOLE),
      Escape: () => show(WHOLE), ArrowLeft: () => move(-0.5), ArrowRight: () => move(0.5) }[event.key];
    if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  select.addEventListener("change", () => {
    chosen = select.value === "" ? null : Number(select.value);
    draw();
  });
  new ResizeObserver(draw).observe(tools);
  draw();
})();
