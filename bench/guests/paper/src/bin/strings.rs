fn main() {
    paper::strings::service().run();
}
