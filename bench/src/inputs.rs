//! Realistic texts as inputs, deterministic by seed.

/// A stream of numbers (xorshift*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
    fn word(&mut self) -> &'static str {
        // Short words are more frequent, as in any language.
        let limit = 1 + self.below(WORDS.len());
        WORDS[self.below(limit)]
    }
}

const WORDS: [&str; 64] = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "I",
    "his",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
    "hot",
    "but",
    "some",
    "what",
    "there",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "your",
    "when",
    "up",
    "use",
    "word",
    "how",
    "said",
    "an",
    "each",
    "she",
    "which",
    "do",
    "their",
    "time",
    "machine",
    "memory",
    "virtual",
    "processor",
    "thousands",
    "compiler",
    "Graphics",
    "together",
    "university",
    "interleaved",
];

/// `bytes` bytes of prose.
pub fn prose(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.push_str(random.word());
        text.push_str(["", "", "", "", "", "", ",", "."][random.below(8)]);
        text.push(if random.below(12) == 0 { '\n' } else { ' ' });
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// The first `bytes` bytes of a JSON array of messages.
pub fn json(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut text = String::with_capacity(bytes + 512);
    text.push('[');
    while text.len() < bytes {
        let (id, user) = (random.below(1 << 30), random.below(5000));
        let message: Vec<_> = (0..6 + random.below(14)).map(|_| random.word()).collect();
        let (shares, likes, minute) = (random.below(40), random.below(900), random.below(1440));
        text.push_str(&format!(
            "{{\"id\":{id},\"user\":{{\"id\":{user},\"name\":\"user{user}\",\"verified\":{}}},\"text\":\"{}\",\
             \"created_at\":\"2026-03-14T{:02}:{:02}:00Z\",\"retweet_count\":{shares},\"favorite_count\":{likes}}},",
            user % 17 == 0,
            message.join(" "),
            minute / 60,
            minute % 60,
        ));
    }
    text.truncate(bytes);
    text.into_bytes()
}
