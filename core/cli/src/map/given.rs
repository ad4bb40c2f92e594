//! What each input of `map` gives its guest besides standard input: arguments with placeholders, files.

use super::source::{Item, Source};
use crate::Usage;
use crate::args::{FileArgs, Folder, VmArgs};
use anyhow::Result;
use std::path::{Path, PathBuf};
use vectorvisor::{Bytes, Input};

/// What a placeholder makes of an input's path.
type Of = fn(&str) -> &str;
/// The placeholders of GNU parallel.
const PLACEHOLDERS: [(&str, Of); 5] = [
    ("{}", |path| path),
    ("{.}", without_extension),
    ("{/}", last_name),
    ("{//}", folder),
    ("{/.}", |path| without_extension(last_name(path))),
];
const NUMBER: &str = "{#}";

fn last_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

fn without_extension(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains('/') && !stem.is_empty() && !stem.ends_with('/') => stem,
        _ => path,
    }
}

/// A text with an input in place of its placeholders.
fn fill(text: &str, path: &str, number: usize) -> String {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((word, of)) = PLACEHOLDERS.iter().find(|(word, _)| rest.starts_with(word)) {
            filled.push_str(of(path));
            rest = &rest[word.len()..];
        } else if let Some(behind) = rest.strip_prefix(NUMBER) {
            filled.push_str(&number.to_string());
            rest = behind;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// How inputs are made of items.
pub struct Template {
    /// The program's name and its arguments, if they have placeholders.
    words: Vec<String>,
    filled: bool,
    collect: Vec<String>,
    /// The guest's name of the folder of inputs.
    root: Option<String>,
    /// The input is an argument, and not standard input.
    by_name: bool,
    scratch: bool,
}

/// Whether texts have one of these placeholders.
fn have(texts: &[String], words: &[&str]) -> bool {
    texts.iter().any(|text| words.iter().any(|word| text.contains(word)))
}

/// The folder of inputs as guests have to be given it for paths in their arguments, if it is not given to them already;
/// and their name for it.
pub fn root(input: Option<&Path>, args: &[String], files: &FileArgs) -> (Option<Folder>, Option<String>) {
    let Some(input) = input.filter(|input| input.is_dir()) else { return (None, None) };
    if !have(args, &["{}", "{.}", "{//}"]) {
        return (None, None);
    }
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    let inside = files.dir.iter().find_map(|folder| {
        let below = whole(input).strip_prefix(whole(&folder.host)).ok()?.to_path_buf();
        let guest = PathBuf::from(&folder.guest).join(below);
        Some(guest.to_string_lossy().trim_end_matches('/').to_string())
    });
    if inside.is_some() {
        return (None, inside);
    }
    let name = input.to_string_lossy();
    let guest = match name.trim_end_matches('/') {
        "" => "/".to_string(),
        name => name.to_string(),
    };
    (Some(Folder { host: input.into(), guest: guest.clone(), write: false }), Some(guest))
}

impl Template {
    /// For inputs of a command line; `words` are the program's name and its arguments, `scratch` is whether guests have a
    /// folder in memory, and `root` is as [`root`] says.
    pub fn new(
        words: &[String],
        collect: &[String],
        scratch: bool,
        root: Option<String>,
        source: &mut Source,
        lines: bool,
    ) -> Result<Self> {
        if collect.len() > 1 && !lines {
            let text = "several --collect need --out FILE.jsonl, where each result has all files; a folder has one for each input";
            return Err(Usage(text.into()).into());
        }
        let all: Vec<&str> = PLACEHOLDERS.iter().map(|(word, _)| *word).chain([NUMBER]).collect();
        let args = words.get(1..).unwrap_or_default();
        let by_name = have(args, &["{}"]);
        if by_name {
            source.by_name();
        }
        Ok(Self { words: words.to_vec(), filled: have(args, &all), collect: collect.to_vec(), root, by_name, scratch })
    }

    /// Whether inputs may have arguments or variables of their own. Lines may.
    pub fn own_arguments(&self, source: &Source) -> bool {
        self.filled || matches!(source, Source::Lines(_))
    }

    /// The input of an item, or why there is none.
    pub fn input(&self, item: &mut Item) -> std::result::Result<Input, String> {
        let mut stdin = std::mem::replace(&mut item.stdin, Ok(Bytes::new()))?;
        let more = std::mem::take(&mut item.more);
        if !more.files.is_empty() && !self.scratch {
            return Err("this line has files; give guests a folder for them with --scratch SIZE".into());
        }
        let path = match (&item.name, &self.root) {
            _ if !self.filled && self.collect.is_empty() => String::new(),
            (Some(name), root) => {
                let name = name.to_str().ok_or("its name is not UTF-8, and cannot be an argument")?;
                root.as_ref().map_or(name.into(), |root| format!("{}/{name}", root.trim_end_matches('/')))
            }
            (None, _) => std::str::from_utf8(&stdin).map_err(|_| "it is not UTF-8, and cannot be an argument")?.into(),
        };
        if self.by_name {
            stdin = Bytes::new();
        }
        let fill = |text: &String| fill(text, &path, item.index + 1);
        let own = self.filled || !more.args.is_empty();
        let words = || self.words.iter().map(fill).chain(more.args.clone()).collect();
        Ok(Input {
            stdin,
            program_args: own.then(words),
            env: more.env,
            files: more.files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(),
            collect: self.collect.iter().map(fill).collect(),
            ..Input::default()
        })
    }
}

/// These options with one more folder.
pub fn with_folder(args: &VmArgs, folder: Option<Folder>) -> VmArgs {
    let mut args = args.clone();
    args.files.dir.extend(folder);
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_those_of_gnu_parallel() {
        let of = |text: &str| fill(text, "in/below/a.tar.gz", 7);
        assert_eq!(of("{} {.} {/} {//} {/.} {#}"), "in/below/a.tar.gz in/below/a.tar a.tar.gz in/below a.tar 7");
        assert_eq!(of("-o{/.}.jpg{"), "-oa.tar.jpg{");
        assert_eq!(of("{x} {{}} {"), "{x} {in/below/a.tar.gz} {");
        assert_eq!(fill("{.} {//} {/.}", "a.b/.rc", 1), "a.b/.rc a.b .rc");
        assert_eq!(fill("{//} {/}", "name", 1), ". name");
    }
}
