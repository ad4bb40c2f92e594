fn main() {
    paper::blur::bmp().run();
}
