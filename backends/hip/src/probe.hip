extern "C" __attribute__((global)) void listen(unsigned *page) {
    volatile unsigned *words = page;
    words[1] = 1;
    unsigned heard = 0;
    for (unsigned i = 0; i < 1u << 21 && heard == 0; i++) heard = words[0];
    words[2] = heard;
}
/* Never launched. Its presence in the binary tells the driver that this compiler rounds square roots correctly. */
#if __clang_major__ >= 18
extern "C" __attribute__((global)) void rounds_roots(unsigned *page) { page[0] = 1; }
#endif
