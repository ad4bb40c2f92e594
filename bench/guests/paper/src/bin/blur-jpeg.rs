fn main() {
    paper::blur::jpeg().run();
}
