//! Words of a text → figures about sets of them: the standard library's hash sets and maps with many types of keys,
//! each type its own copy of the code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{Debug, Write as _};
use std::hash::Hash;
use std::io::{self, Read, Write};

/// What is done with the keys of one type that the two halves of the text give.
fn figures<K: Hash + Eq + Ord + Clone + Debug>(kind: &str, first: Vec<K>, second: Vec<K>, out: &mut String) {
    let mut counts: HashMap<K, usize> = HashMap::new();
    for key in first.iter().chain(&second) {
        *counts.entry(key.clone()).or_insert(0) += 1;
    }
    let (mut a, b): (HashSet<K>, HashSet<K>) = (first.iter().cloned().collect(), second.into_iter().collect());
    let both: BTreeSet<&K> = a.intersection(&b).collect();
    let either: BTreeSet<&K> = a.symmetric_difference(&b).collect();
    let (shared, apart) = (both.len(), either.len());
    let ends = format!("{:?} to {:?}", both.first(), either.last());
    let mut often: Vec<(&K, &usize)> = counts.iter().filter(|(_, n)| **n > 1).collect();
    often.sort_by(|x, y| y.1.cmp(x.1).then_with(|| x.0.cmp(y.0)));
    often.truncate(3);
    _ = write!(out, "{kind}: {} keys, {shared} shared, {apart} apart, {ends}; most often {often:?}", counts.len());

    let mut places: HashMap<K, Vec<usize>> = HashMap::with_capacity(first.len());
    first.iter().enumerate().for_each(|(at, key)| places.entry(key.clone()).or_default().push(at));
    let widest = places.values().map(|at| at[at.len() - 1] - at[0]).max().unwrap_or(0);
    let before = a.len();
    a.retain(|key| !b.contains(key) || counts[key] % 2 == 0);
    let kept = a.len();
    for key in b.iter().filter(|key| counts[*key] > 2) {
        a.replace(key.clone());
        places.remove(key);
    }
    a.shrink_to_fit();
    let mut groups: BTreeMap<usize, HashSet<K>> = BTreeMap::new();
    for (key, n) in counts.drain() {
        groups.entry(n).or_default().insert(key);
    }
    let largest = groups.values().map(HashSet::len).max().unwrap_or(0);
    let once = groups.remove(&1).unwrap_or_default();
    let lonely = once.is_disjoint(&b);
    let union = a.union(&once).count();
    let within = once.is_subset(&a);
    _ = writeln!(
        out,
        "; widest {widest}, of {before} kept {kept}, then {}, {} places, {} groups, largest {largest}, union {union}, {lonely} {within}",
        a.len(),
        places.len(),
        groups.len()
    );
}

fn number(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[derive(Hash, PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
enum Token {
    Number(u64),
    Short(char),
    Word { text: String, capital: bool },
}

fn token(word: &str) -> Token {
    match (word.parse(), word.chars().next()) {
        (Ok(number), _) => Token::Number(number),
        (_, Some(letter)) if word.len() < 4 => Token::Short(letter),
        _ => Token::Word { text: word.to_lowercase(), capital: word.starts_with(char::is_uppercase) },
    }
}

fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let (first, second) = words.split_at(words.len() / 2);
    let mut out = String::new();
    macro_rules! keys {
        ($($kind:literal: |$word:ident| $key:expr;)*) => {$({
            let key = |$word: &&str| $key;
            figures($kind, first.iter().map(key).collect(), second.iter().map(key).collect(), &mut out);
        })*};
    }
    keys! {
        "u8": |w| number(w) as u8;
        "u16": |w| number(w) as u16;
        "i32": |w| number(w) as i32;
        "u64": |w| number(w);
        "i128": |w| i128::from(number(w)) * -3;
        "char": |w| w.chars().next_back();
        "bool": |w| w.len() % 2 == 0;
        "String": |w| w.to_string();
        "Box<str>": |w| w.to_uppercase().into_boxed_str();
        "Vec<u8>": |w| w.bytes().rev().collect::<Vec<u8>>();
        "Vec<u16>": |w| w.encode_utf16().collect::<Vec<u16>>();
        "Vec<char>": |w| { let mut letters: Vec<char> = w.chars().collect(); letters.sort_unstable(); letters };
        "[u8; 4]": |w| (number(w) as u32).to_be_bytes();
        "[u16; 8]": |w| { let mut key = [0; 8]; key.iter_mut().zip(w.encode_utf16()).for_each(|(to, unit)| *to = unit); key };
        "(u32, u32)": |w| (w.len() as u32, number(w) as u32 & 0xff);
        "(String, u8)": |w| (w.chars().take(2).collect::<String>(), w.len() as u8);
        "(char, char)": |w| (w.chars().next(), w.chars().next_back());
        "Option<u32>": |w| w.parse::<u32>().ok();
        "Result<i64, usize>": |w| w.parse::<i64>().map_err(|_| w.len());
        "Option<String>": |w| w.get(1..).map(str::to_string);
        "BTreeSet<u8>": |w| w.bytes().collect::<BTreeSet<u8>>();
        "Token": |w| token(w);
        "Vec<Token>": |w| w.split('e').map(token).collect::<Vec<Token>>();
        "(Token, u64)": |w| (token(w), number(w) % 7);
    }
    io::stdout().lock().write_all(out.as_bytes())
}
