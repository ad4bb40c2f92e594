fn main() {
    paper::hashes::scrypt().run();
}
