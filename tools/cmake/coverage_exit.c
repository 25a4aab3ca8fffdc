/* coverage_exit.c - in coverage builds _exit, too, writes down what was reached: a daemon that dies at a crash point, or
 * because its disk failed, ends that way. (Linked in place of _exit: -Wl,--wrap=_exit.) */
void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);

_Noreturn void __wrap__exit(int code)
{
    __gcov_dump();
    __real__exit(code);
}
