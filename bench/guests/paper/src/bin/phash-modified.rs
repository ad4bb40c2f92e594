fn main() {
    paper::phash::modified().run();
}
