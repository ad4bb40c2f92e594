fn main() {
    paper::phash::hasher().run();
}
