//! What programs do with files, through Rust's standard library: `library CASE NUMBER disk|memory` runs one case in a
//! folder of its own, `library cat PATH` prints a file, and without arguments the cases are listed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

type Result = io::Result<()>;

/// What is told of an error: its kind and the system's number.
fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn write_and_read(own: &Path, number: u32) -> Result {
    let file = own.join("file.txt");
    fs::write(&file, format!("{number} squared is {}\n", number * number))?;
    print!("{}", fs::read_to_string(&file)?);
    println!("{}", told(fs::read(own.join("none"))));
    println!("{}", told(fs::write(own.join("no/such/folder"), "x")));
    Ok(())
}

fn append(own: &Path, number: u32) -> Result {
    let file = own.join("log");
    for line in 0..number + 3 {
        writeln!(OpenOptions::new().append(true).create(true).open(&file)?, "line {line}")?;
    }
    print!("{}", fs::read_to_string(&file)?);
    Ok(())
}

fn lines(own: &Path, number: u32) -> Result {
    let file = own.join("lines");
    let mut writer = BufWriter::new(File::create(&file)?);
    for line in 0..20_000 {
        writeln!(writer, "{line} of {number}")?;
    }
    writer.flush()?;
    let (mut count, mut bytes) = (0, 0);
    for line in BufReader::new(File::open(&file)?).lines() {
        bytes += line?.len();
        count += 1;
    }
    println!("{count} lines, {bytes} bytes");
    Ok(())
}

fn seek(own: &Path, number: u32) -> Result {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(own.join("f"))?;
    file.write_all(&(0..=255).collect::<Vec<u8>>())?;
    file.seek(SeekFrom::Start(u64::from(number)))?;
    let mut some = [0; 4];
    file.read_exact(&mut some)?;
    println!("{some:?} at {}", file.stream_position()?);
    println!("{}", file.seek(SeekFrom::End(-2))?);
    println!("{}", told(file.read_exact(&mut some)));
    println!("{}", told(file.seek(SeekFrom::Current(-1000))));
    file.set_len(100)?;
    println!("{} {}", file.metadata()?.len(), file.seek(SeekFrom::End(0))?);
    Ok(())
}

fn open_options(own: &Path, _: u32) -> Result {
    let file = own.join("f");
    println!("{}", told(OpenOptions::new().write(true).open(&file).map(drop)));
    println!("{}", told(OpenOptions::new().write(true).create_new(true).open(&file).map(drop)));
    println!("{}", told(OpenOptions::new().write(true).create_new(true).open(&file).map(drop)));
    println!("{}", told(File::open(&file)?.write(b"x")));
    println!("{}", told(File::create(&file)?.read(&mut [0; 4])));
    println!("{}", told(File::open(own).and_then(|mut folder| folder.read(&mut [0; 4]))));
    println!("{}", told(File::create(own).map(drop)));
    Ok(())
}

fn folders(own: &Path, number: u32) -> Result {
    fs::create_dir_all(own.join("a/b/c"))?;
    println!("{}", told(fs::create_dir(own.join("a"))));
    println!("{}", told(fs::create_dir_all(own.join("a/b"))));
    for name in 0..number % 7 + 2 {
        fs::write(own.join(format!("a/b/file{name}")), vec![b'x'; name as usize])?;
    }
    let mut all = BTreeMap::new();
    walk(own, Path::new(""), &mut all)?;
    println!("{all:?}");
    println!("{}", told(fs::remove_dir(own.join("a"))));
    fs::remove_dir_all(own.join("a/b"))?;
    println!("{}", told(fs::remove_dir(own.join("a"))));
    println!("{}", told(fs::remove_dir_all(own.join("a"))));
    println!("{}", fs::read_dir(own)?.count());
    Ok(())
}

fn walk(root: &Path, below: &Path, all: &mut BTreeMap<String, u64>) -> Result {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(root, &path, all)?;
        } else {
            all.insert(path.display().to_string(), entry.metadata()?.len());
        }
    }
    Ok(())
}

fn many_entries(own: &Path, number: u32) -> Result {
    for name in 0..200 + number {
        File::create(own.join(format!("a file with a rather long name, {name:05}")))?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(own)? {
        names.push(entry?.file_name().into_string().expect("UTF-8"));
    }
    names.sort();
    println!("{} {:?} {:?}", names.len(), names.first(), names.last());
    for name in names {
        fs::remove_file(own.join(name))?;
    }
    println!("{}", fs::read_dir(own)?.count());
    Ok(())
}

fn rename_and_copy(own: &Path, number: u32) -> Result {
    let (a, b, c) = (own.join("a"), own.join("b"), own.join("c"));
    fs::write(&a, format!("content {number}"))?;
    fs::rename(&a, &b)?;
    println!("{} {}", a.exists(), told(fs::read_to_string(&b)));
    println!("{}", fs::copy(&b, &c)?);
    fs::write(&b, "changed")?;
    println!("{} {}", fs::read_to_string(&b)?, fs::read_to_string(&c)?);
    fs::rename(&b, &c)?;
    println!("{}", fs::read_to_string(&c)?);
    println!("{}", told(fs::rename(&b, &c)));
    fs::create_dir(&a)?;
    println!("{}", told(fs::rename(&c, &a)));
    Ok(())
}

fn hard_links(own: &Path, number: u32) -> Result {
    let (a, b) = (own.join("a"), own.join("b"));
    fs::write(&a, "one")?;
    fs::hard_link(&a, &b)?;
    OpenOptions::new().append(true).open(&b)?.write_all(format!(" {number}").as_bytes())?;
    println!("{}", fs::read_to_string(&a)?);
    fs::remove_file(&a)?;
    println!("{} {}", told(fs::read_to_string(&a)), fs::read_to_string(&b)?);
    Ok(())
}

fn metadata(own: &Path, number: u32) -> Result {
    let file = own.join("f");
    fs::write(&file, vec![0; number as usize * 10])?;
    let about = fs::metadata(&file)?;
    println!("{} {} {} {}", about.len(), about.is_file(), about.is_dir(), about.is_symlink());
    println!("{}", fs::metadata(own)?.is_dir());
    println!("{}", told(fs::metadata(own.join("none")).map(|about| about.len())));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + u64::from(number));
    File::options().write(true).open(&file)?.set_modified(time)?;
    println!("{:?}", fs::metadata(&file)?.modified()?.duration_since(SystemTime::UNIX_EPOCH));
    Ok(())
}

fn given_files(own: &Path, _: u32) -> Result {
    println!("{:?}", fs::read_to_string("given/text")?);
    println!("{:?}", fs::read_to_string("given/below/../link")?);
    println!("{}", told(fs::write("given/new", "x")));
    println!("{}", told(fs::remove_file("given/text")));
    println!("{}", told(fs::copy("given/text", own.join("copy"))));
    println!("{:?}", fs::read_to_string(own.join("copy"))?);
    println!("{}", told(fs::read("/etc/passwd")));
    println!("{}", told(fs::read("given/../../etc/passwd")));
    Ok(())
}

fn the_working_folder(_: &Path, number: u32) -> Result {
    let name = format!("relative{number}");
    fs::write(&name, "here")?;
    println!("{}", fs::read_to_string(format!("./{name}"))?);
    println!("{}", fs::read_to_string(format!("/scratch/{name}"))?);
    println!("{}", fs::read_to_string(format!("/{name}"))?);
    fs::remove_file(format!("/scratch/{name}"))?;
    println!("{}", Path::new(&name).exists());
    Ok(())
}

fn bytes(own: &Path, number: u32) -> Result {
    let file = own.join("bytes");
    let all: Vec<u8> = (0..1_500_000_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8 ^ number as u8).collect();
    fs::write(&file, &all)?;
    let again = fs::read(&file)?;
    let sum = again.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    println!("{} {} {sum}", again.len(), again == all);
    Ok(())
}

fn standard_streams(own: &Path, number: u32) -> Result {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    fs::write(own.join("input"), &input)?;
    for line in 0..500 {
        println!("{line}: {}", fs::metadata(own.join("input"))?.len());
    }
    eprintln!("{number} is done");
    Ok(())
}

fn sort_in_a_file(own: &Path, number: u32) -> Result {
    // Words go to a file for each first letter, which are then sorted one by one.
    let mut files = BTreeMap::new();
    let mut state = number + 1;
    for _ in 0..2_000 {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
        let word = format!("{:x}", state >> 8);
        let name = word[..1].to_string();
        let file = files.entry(name.clone()).or_insert_with(|| BufWriter::new(File::create(own.join(name)).expect("made")));
        writeln!(file, "{word}")?;
    }
    let names: Vec<String> = files.keys().cloned().collect();
    drop(files);
    let mut sorted = File::create(own.join("sorted"))?;
    for name in names {
        let text = fs::read_to_string(own.join(&name))?;
        let mut words: Vec<&str> = text.lines().collect();
        words.sort_unstable();
        sorted.write_all((words.join("\n") + "\n").as_bytes())?;
        fs::remove_file(own.join(&name))?;
    }
    let text = fs::read_to_string(own.join("sorted"))?;
    println!("{} {} {:?}", text.lines().count(), text.lines().is_sorted(), text.lines().nth(number as usize));
    Ok(())
}

const CASES: [(&str, fn(&Path, u32) -> Result); 15] = [
    ("write_and_read", write_and_read),
    ("append", append),
    ("lines", lines),
    ("seek", seek),
    ("open_options", open_options),
    ("folders", folders),
    ("many_entries", many_entries),
    ("rename_and_copy", rename_and_copy),
    ("hard_links", hard_links),
    ("metadata", metadata),
    ("given_files", given_files),
    ("the_working_folder", the_working_folder),
    ("bytes", bytes),
    ("standard_streams", standard_streams),
    ("sort_in_a_file", sort_in_a_file),
];

fn main() -> Result {
    let args: Vec<String> = std::env::args().collect();
    if let [_, cat, path] = args.as_slice()
        && cat == "cat"
    {
        print!("{}", fs::read_to_string(path)?);
        return Ok(());
    }
    let [_, case, number, place] = args.as_slice() else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let own = Path::new(if place == "disk" { "disk" } else { "." }).join(format!("{case}-{number}"));
    fs::create_dir(&own)?;
    let (_, run) = CASES.iter().find(|(name, _)| name == case).expect("a case");
    run(&own, number.parse().expect("a number"))
}
