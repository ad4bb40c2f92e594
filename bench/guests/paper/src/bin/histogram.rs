fn main() {
    paper::histogram::service().run();
}
