fn main() {
    paper::hashes::pbkdf2().run();
}
