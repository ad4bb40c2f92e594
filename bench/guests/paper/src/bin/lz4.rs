fn main() {
    paper::lz4::service().run();
}
