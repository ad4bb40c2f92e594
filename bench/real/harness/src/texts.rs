//! Texts of several kinds, of about as many bytes as asked for.

use crate::*;
use std::sync::LazyLock;

const COMMON: &str = "the of and a to in is it that for on with as are this be by or from at not an which was have has but \
    they will one all can more when there their out up so if about who get would make like time just him know take people into \
    year your good some could them see other than then now look only come its over think also back after use two how our work \
    first well way even new want because any these give day most us";
const SYLLABLES: [&str; 40] = [
    "ba", "con", "de", "er", "fo", "gra", "hi", "in", "ju", "ka", "lo", "men", "na", "or", "per", "qui", "re", "sta",
    "ti", "un", "ver", "wo", "xe", "ya", "zo", "al", "be", "ci", "dor", "en", "fla", "gen", "ho", "is", "le", "mi",
    "no", "pla", "ro", "sen",
];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// Words by rank: common ones, then some made of syllables.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(7);
    let mut made = || (0..rng.usize(2..5)).map(|_| one(&mut rng, &SYLLABLES)).collect();
    let common: Vec<String> = COMMON.split_whitespace().map(str::to_string).collect();
    let rest = 8000 - common.len();
    common.into_iter().chain((0..rest).map(|_| made())).collect()
});

/// A word; the n-th most frequent one is about n times rarer than the first (Zipf's law).
pub fn word(rng: &mut Rng) -> &'static str {
    &WORDS[(WORDS.len() as f64).powf(rng.f64()) as usize - 1]
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn sentence(rng: &mut Rng) -> String {
    let mut text = capital(word(rng));
    for _ in 0..rng.usize(3..20) {
        text.push_str(if rng.u32(..12) == 0 { ", " } else { " " });
        match rng.u32(..60) {
            0 => _ = write!(text, "{}", rng.u32(..3000)),
            1 => text.push_str(one(rng, &["naïve", "café", "Größe", "señor", "漢字", "œuvre", "—"])),
            2..5 => text.push_str(&capital(word(rng))),
            _ => text.push_str(word(rng)),
        }
    }
    text.push_str(one(rng, &[".", ".", ".", "?", "!"]));
    text
}

pub fn prose(rng: &mut Rng, size: usize) -> String {
    let mut text = String::new();
    while text.len() < size {
        for _ in 0..rng.usize(2..8) {
            text.push_str(&sentence(rng));
            text.push(if rng.u32(..5) == 0 { '\n' } else { ' ' });
        }
        text.push_str("\n\n");
    }
    text
}

fn date(rng: &mut Rng) -> String {
    format!("20{:02}-{:02}-{:02}", rng.u32(10..27), rng.u32(1..13), rng.u32(1..29))
}

fn host(rng: &mut Rng) -> String {
    format!(
        "{}{}.{}",
        word(rng),
        rng.u32(..20),
        one(rng, &["example.com", "example.org", "test", "internal.example.net"])
    )
}

fn address(rng: &mut Rng) -> String {
    format!("10.{}.{}.{}", rng.u32(..256), rng.u32(..16), rng.u32(..256))
}

pub fn log(rng: &mut Rng, size: usize) -> String {
    let mut text = String::new();
    let (mut day, mut second) = (date(rng), rng.u32(..80_000));
    // A service talks to the same few others.
    let (clients, hosts): (Vec<_>, Vec<_>) = (0..rng.usize(3..40)).map(|_| (address(rng), host(rng))).unzip();
    while text.len() < size {
        second += rng.u32(..40);
        if second >= 86_400 {
            (day, second) = (date(rng), 0);
        }
        let (client, host) = (&clients[rng.usize(..clients.len())], &hosts[rng.usize(..hosts.len())]);
        let level = one(rng, &["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"]);
        _ = write!(text, "{day}T{:02}:{:02}:{:02}Z {level} ", second / 3600, second / 60 % 60, second % 60);
        _ = match rng.u32(..8) {
            0..3 => writeln!(
                text,
                "{client} \"{} /{}/{}?id={} HTTP/1.1\" {} {} \"https://{host}/{}\"",
                one(rng, &["GET", "GET", "GET", "POST", "PUT"]),
                word(rng),
                word(rng),
                rng.u32(..9999),
                one(rng, &["200", "200", "200", "304", "404", "500"]),
                rng.u32(..90_000),
                word(rng)
            ),
            3 => writeln!(text, "mail from {}.{}@{host} to {}@{host} accepted", word(rng), word(rng), word(rng)),
            4 => writeln!(
                text,
                "object {:016x}{:016x} stored on {host} in {} ms",
                rng.u64(..),
                rng.u64(..),
                rng.u32(..900)
            ),
            5 => writeln!(
                text,
                "certificate of {host} ends on {} {} 20{}",
                rng.u32(1..29),
                one(rng, &MONTHS),
                rng.u32(26..40)
            ),
            6 => writeln!(text, "worker[{}]: {}", rng.u32(100..999), sentence(rng)),
            _ => writeln!(text, "connection {} of {client} to {host}:{} closed", rng.u32(..), rng.u32(1..65_535)),
        };
    }
    text
}

fn quoted(rng: &mut Rng) -> String {
    match rng.u32(..10) {
        0 => format!("\"{} \\\"{}\\\"\\n\\u00e9{}\"", word(rng), word(rng), word(rng)),
        1..4 => format!("\"{}\"", sentence(rng)),
        _ => format!("\"{}\"", word(rng)),
    }
}

fn value(rng: &mut Rng, depth: u32, text: &mut String) {
    let kinds = if depth == 0 { 7 } else { 10 };
    match rng.u32(..kinds) {
        0 | 1 => text.push_str(&quoted(rng)),
        2 => _ = write!(text, "{}", rng.i32(-1000..100_000)),
        3 => _ = write!(text, "{}", rng.f64() * 1e4),
        4 => _ = write!(text, "{:e}", rng.f64() * 1e9),
        5 => text.push_str(one(rng, &["true", "false", "null"])),
        6 => list(rng, text, |rng, text| _ = write!(text, "{}", rng.u32(..1000))),
        7 => list(rng, text, |rng, text| value(rng, depth - 1, text)),
        _ => record(rng, depth - 1, text),
    }
}

fn list(rng: &mut Rng, text: &mut String, item: impl Fn(&mut Rng, &mut String)) {
    text.push('[');
    for number in 0..rng.usize(..7) {
        text.push_str(if number == 0 { "" } else { ", " });
        item(rng, text);
    }
    text.push(']');
}

fn record(rng: &mut Rng, depth: u32, text: &mut String) {
    _ = write!(text, "{{\"id\": {}", rng.u32(..1_000_000));
    for _ in 0..rng.usize(2..9) {
        _ = write!(text, ",\n  \"{}_{}\": ", word(rng), rng.u32(..30));
        value(rng, depth, text);
    }
    text.push('}');
}

pub fn json(rng: &mut Rng, size: usize) -> String {
    let mut text = format!("{{\"made\": \"{}\", \"records\": [\n", date(rng));
    loop {
        record(rng, 3, &mut text);
        if text.len() >= size {
            return text + "\n]}\n";
        }
        text.push_str(",\n");
    }
}

pub fn csv(rng: &mut Rng, size: usize) -> String {
    let products: Vec<_> = (0..rng.usize(3..60)).map(|_| word(rng)).collect();
    let mut text = String::from("date,region,product,units,price,discount,note\n");
    while text.len() < size {
        let (region, product) =
            (one(rng, &["north", "south", "east", "west", "\"far, far\""]), &products[rng.usize(..products.len())]);
        _ = write!(text, "{},{region},{product},{},{:.2},", date(rng), rng.u32(1..200), rng.f64() * 500.0);
        if rng.u32(..3) == 0 {
            _ = write!(text, "{:.3}", rng.f64() / 2.0);
        }
        _ = match rng.u32(..6) {
            0 => writeln!(text, ",\"{}, and \"\"{}\"\"\"", word(rng), word(rng)),
            1 => writeln!(text, ",{} {}", word(rng), word(rng)),
            _ => writeln!(text, ","),
        };
    }
    text
}

/// A line with emphasis, code and links.
fn marked(rng: &mut Rng) -> String {
    let mut text = String::new();
    for (number, word) in sentence(rng).split(' ').enumerate() {
        text.push_str(if number == 0 { "" } else { " " });
        _ = match rng.u32(..30) {
            0 => write!(text, "**{word}**"),
            1 => write!(text, "*{word}*"),
            2 => write!(text, "`{word}()`"),
            3 => write!(text, "[{word}](https://{}/{word} \"{word}\")", host(rng)),
            4 => write!(text, "~~{word}~~ &amp; <{word}>"),
            5 => write!(text, "![{word}][{}]", rng.u32(1..4)),
            _ => write!(text, "{word}"),
        };
    }
    text
}

pub fn markdown(rng: &mut Rng, size: usize) -> String {
    let mut text = format!("# {}\n\n", capital(word(rng)));
    while text.len() < size {
        _ = match rng.u32(..10) {
            0 => writeln!(text, "{} {}\n", "#".repeat(rng.usize(1..5)), marked(rng)),
            1 | 2 => {
                let mark = one(rng, &["-", "*", "1.", "- [ ]", "- [x]"]);
                for _ in 0..rng.usize(2..9) {
                    _ = writeln!(text, "{}{mark} {}", one(rng, &["", "", "", "  ", "    "]), marked(rng));
                }
                writeln!(text)
            }
            3 => {
                _ = writeln!(text, "```rust");
                for _ in 0..rng.usize(1..12) {
                    _ = writeln!(
                        text,
                        "    let {} = {}({}, \"{}\") && <T>;",
                        word(rng),
                        word(rng),
                        rng.u32(..99),
                        word(rng)
                    );
                }
                writeln!(text, "```\n")
            }
            4 => {
                let columns = rng.usize(2..6);
                let row = |cell: &mut dyn FnMut() -> String| (0..columns).map(|_| cell() + " |").collect::<String>();
                _ = writeln!(text, "|{}\n|{}", row(&mut || word(rng).to_string()), row(&mut || ":--".into()));
                for _ in 0..rng.usize(1..12) {
                    _ = writeln!(text, "|{}", row(&mut || format!("{} *{}*", rng.u32(..500), word(rng))));
                }
                writeln!(text)
            }
            5 => writeln!(text, "> {}\n> {}\n", marked(rng), marked(rng)),
            6 => {
                let note = text.len();
                writeln!(text, "{}[^{note}]\n\n[^{note}]: {}\n", sentence(rng), sentence(rng))
            }
            _ => writeln!(text, "{}\n{}\n", marked(rng), marked(rng)),
        };
    }
    text + "\n[1]: a.png\n[2]: b.png 'title'\n[3]: <c d.png>\n"
}

/// A script that makes a table of animals, asks it and changes it.
pub fn sql(rng: &mut Rng) -> String {
    let mut text = String::from(
        "create table animal (id integer primary key, name text, age integer, weight real);\n\
         create index by_name on animal (name, age);\ninsert into animal values ",
    );
    for id in 0..size(rng, 150) {
        let name = one(rng, &["ant", "bee", "cat", "dog", "eel", "fox"]);
        let comma = if id == 0 { "" } else { ",\n" };
        _ = write!(text, "{comma}({id}, '{name}', {}, {})", rng.u32(..1000), f64::from(rng.u32(..10_000)) / 8.0);
    }
    text.push_str(";\n");
    for _ in 0..rng.usize(2..12) {
        _ = match rng.u32(..8) {
            0 => writeln!(
                text,
                "select name, count(*), sum(age), min(weight), avg(weight) from animal group by name order by name;"
            ),
            1 => writeln!(
                text,
                "select a.name, b.id from animal a join animal b on a.age = b.id where a.weight > {} order by 1, 2 limit 9;",
                rng.u32(..900)
            ),
            2 => writeln!(text, "update animal set age = age + 1 where name like '%{}%';", one(rng, &["a", "e", "o"])),
            3 => writeln!(text, "delete from animal where id % {} = 0;", rng.u32(2..10)),
            4 => writeln!(
                text,
                "with recursive n(i) as (select 1 union all select i + 1 from n where i < {}) select sum(i * i), group_concat(i % 7) from n;",
                rng.u32(50..800)
            ),
            5 => writeln!(
                text,
                "select upper(name) || '-' || hex(age) || printf('%08.3f', weight) from animal where id in (select max(id) from animal group by name) order by id;"
            ),
            6 => writeln!(
                text,
                "select json_group_array(id), sum(age) over (order by id rows 3 preceding) from animal where id < {} group by id;",
                rng.u32(4..40)
            ),
            _ => writeln!(
                text,
                "select * from animal where age between {0} and {0} + 40 order by weight desc;",
                rng.u32(..960)
            ),
        };
    }
    text
}
