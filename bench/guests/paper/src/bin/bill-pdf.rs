fn main() {
    paper::bill::pdf().run();
}
