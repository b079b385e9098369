"""How a program is started that must not outlive the test run, however that ends: SIGKILL leaves no time to tidy up."""

# The program itself ends with the thread that started it.
PROGRAM = ("setpriv", "--pdeathsig=KILL", "--")
# So does all that it started, in a pid namespace whose first process it is (pid_namespaces(7)).
TREE = (*PROGRAM, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
