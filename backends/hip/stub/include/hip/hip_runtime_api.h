/* Nothing is read from it; the build script of hip-sys wants to see it. */
