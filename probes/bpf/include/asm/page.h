/* SPDX-License-Identifier: GPL-2.0-only */
/* Empty: bcc includes this name, the probes need nothing from it. */
