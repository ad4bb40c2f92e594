extern "C" __attribute__((global)) void listen(unsigned *page) {
    volatile unsigned *words = page;
    words[1] = 1;
    unsigned heard = 0;
    for (unsigned i = 0; i < 1u << 21 && heard == 0; i++) heard = words[0];
    words[2] = heard;
}
/* Not called: that the binary has it tells the driver that this compiler rounds square roots as IEEE 754 wants. */
#if __clang_major__ >= 18
extern "C" __attribute__((global)) void rounds_roots(unsigned *page) { page[0] = 1; }
#endif
