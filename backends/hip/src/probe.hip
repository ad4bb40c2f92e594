extern "C" __attribute__((global)) void listen(unsigned *page) {
    volatile unsigned *words = page;
    words[1] = 1;
    unsigned heard = 0;
    for (unsigned i = 0; i < 1u << 21 && heard == 0; i++) heard = words[0];
    words[2] = heard;
}
