//! Strings: the words of tweets without stop words, and their hashtags.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use vectorvisor_guest::{Format, Service};

/// 1,000 of them in the evaluation.
#[derive(Deserialize, Serialize)]
pub struct Tweets {
    pub tweets: Vec<String>,
}

#[derive(Deserialize, Serialize)]
pub struct Words {
    pub tokenized: Vec<Vec<String>>,
    pub hashtags: Vec<Vec<String>>,
}

pub fn service() -> Service {
    // Before the first request, so once for all VMs; that needs a hash without random numbers.
    let stop: FxHashSet<&str> = stop_words::get("en").iter().copied().collect();
    Service::of(Format::Json, move |request: Tweets| {
        let tokens: Vec<Vec<&str>> = request.tweets.iter().map(|tweet| tokens(tweet)).collect();
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let kept = |tokens: &Vec<&str>| {
            owned(tokens.iter().copied().filter(|token| !stop.contains(token.to_lowercase().as_str())).collect())
        };
        Words {
            tokenized: tokens.iter().map(kept).collect(),
            hashtags: tokens.iter().map(|tokens| owned(hashtags(tokens))).collect(),
        }
    })
    .room(128 << 10)
}

/// Words and punctuation, by Unicode's boundaries.
fn tokens(tweet: &str) -> Vec<&str> {
    tweet.split_word_bounds().filter(|token| !token.trim().is_empty()).collect()
}

fn hashtags<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    tokens.windows(2).filter(|two| two[0] == "#").map(|two| two[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashtags_are_found() {
        let tokens = tokens("It's #sunny in Köln, isn't it? #köln #");
        assert_eq!(tokens[..4], ["It's", "#", "sunny", "in"]);
        assert_eq!(hashtags(&tokens), ["sunny", "köln"]);
    }
}
