//! A copy of the folders that guests may only read, in the form in which the device answers what is asked of them
//! ([`vectorvisor_translate::abi::files`]).

use crate::disk::{self, Folder};
use crate::errno::Errno;
use crate::stat::{Entry, Kind, Stat};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vectorvisor_translate::abi::files::{DESCRIPTORS, ENTRY, GIVEN, NODE};

/// Most files, folders and links.
const NODES: usize = 1 << 16;
/// Contents begin at multiples of so many bytes, as the device likes to copy them.
const ALIGN: usize = 16;

/// Folders as they were when the copy was made.
#[derive(Clone)]
pub struct Snapshot {
    /// As the device reads it.
    pub bytes: Arc<[u8]>,
    /// How many files, folders and links there are.
    pub nodes: usize,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, nodes } = self;
        f.debug_struct("Snapshot").field("bytes", &bytes.len()).field("nodes", nodes).finish()
    }
}

/// A node, of which a file is not read yet: no more are open at a time than one.
struct Node {
    stat: Stat,
    parent: usize,
    /// Which of the given folders it lies in, and where.
    given: usize,
    path: PathBuf,
    content: Content,
}

enum Content {
    File,
    Link(String),
    /// Names and nodes, sorted by name.
    Folder(Vec<(String, usize)>),
}

impl Snapshot {
    /// Of no folders.
    pub fn empty() -> Self {
        Self { bytes: Arc::new([0; 8]), nodes: 0 }
    }

    /// Copies folders, given under these names, if their files have at most so many bytes in all.
    ///
    /// # Errors
    /// Why they are not copied.
    pub(crate) fn new(folders: &[(&str, &Folder)], most: u64) -> Result<Self, String> {
        // So that a guest can open some more.
        if folders.len() as u32 > DESCRIPTORS / 2 {
            return Err(format!("{} folders are too many", folders.len()));
        }
        let mut nodes = Nodes { folders, all: Vec::new(), left: most, most };
        let mut roots = Vec::new();
        for (given, (name, _)) in folders.iter().enumerate() {
            roots.push((*name, nodes.add_all(given)?));
        }
        let nodes_at = (8 + roots.len() * GIVEN).next_multiple_of(8);
        let mut out = Writer { bytes: vec![0; nodes_at + nodes.all.len() * NODE], nodes_at };
        out.set(0, roots.len())?;
        for (i, (name, node)) in roots.iter().enumerate() {
            let (at, node) = (out.push(name.as_bytes(), 1), out.node(*node));
            for (field, value) in [node, at, name.len()].into_iter().enumerate() {
                out.set(8 + i * GIVEN + 4 * field, value)?;
            }
        }
        for (i, node) in nodes.all.iter().enumerate() {
            let (at, length) = match &node.content {
                Content::Folder(entries) => out.folder(entries)?,
                Content::Link(target) => (out.push(target.as_bytes(), 1), target.len()),
                Content::File => {
                    let (stat, errno, content) = nodes.read(node, &mut out)?;
                    out.node_at(i, &stat, errno, content, node.parent)?;
                    continue;
                }
            };
            out.node_at(i, &node.stat, 0, (at, length), node.parent)?;
        }
        Ok(Self { bytes: out.bytes.into(), nodes: nodes.all.len() })
    }
}

struct Nodes<'a> {
    folders: &'a [(&'a str, &'a Folder)],
    all: Vec<Node>,
    /// Bytes that files may still have.
    left: u64,
    most: u64,
}

impl Nodes<'_> {
    /// Adds a given folder and all below it; the number of its node.
    fn add_all(&mut self, given: usize) -> Result<usize, String> {
        let root = self.all.len();
        let folder = self.folders[given].1;
        let stat = disk::stat(&folder.dir).map_err(|errno| self.cannot(given, &PathBuf::new(), errno))?;
        let mut todo = vec![self.add(stat, root, given, PathBuf::new())?];
        while let Some(parent) = todo.pop() {
            let path = self.all[parent].path.clone();
            let cannot = |errno| self.cannot(given, &path, errno);
            let below;
            let folder = match path.as_os_str().is_empty() {
                true => folder,
                false => {
                    below = Folder { dir: Arc::new(folder.read(&path).map_err(cannot)?), write: false };
                    &below
                }
            };
            let names = folder.entries().map_err(cannot)?;
            let mut entries = Vec::with_capacity(names.len());
            for Entry { name, .. } in names {
                let path = path.join(&name);
                let cannot = |errno| self.cannot(given, &path, errno);
                let stat = folder.stat(&name, false).map_err(cannot)?;
                let link = match stat.kind {
                    Kind::Link => Some(match folder.read_link(&name) {
                        // It is an absolute one, wherever it leads.
                        Err(Errno::PERM) => "/".into(),
                        target => target.map_err(cannot)?,
                    }),
                    Kind::File => {
                        self.left = self.left.checked_sub(stat.size).ok_or_else(|| too_large(self.most))?;
                        None
                    }
                    Kind::Directory => None,
                    _ => return Err(format!("{} is no file, folder or link", self.name(given, &path))),
                };
                let node = self.add(stat, parent, given, path)?;
                if let Some(target) = link {
                    self.all[node].content = Content::Link(target);
                } else if stat.kind == Kind::Directory {
                    todo.push(node);
                }
                entries.push((name, node));
            }
            self.all[parent].content = Content::Folder(entries);
        }
        Ok(root)
    }

    fn add(&mut self, stat: Stat, parent: usize, given: usize, path: PathBuf) -> Result<usize, String> {
        if self.all.len() == NODES {
            return Err(format!("there are more than {NODES} files, folders and links"));
        }
        self.all.push(Node { stat, parent, given, path, content: Content::File });
        Ok(self.all.len() - 1)
    }

    /// Adds what a file has: what is said of it, the errno of opening it, and where its bytes lie.
    fn read(&self, node: &Node, out: &mut Writer) -> Result<(Stat, u16, (usize, usize)), String> {
        let cannot = |errno| self.cannot(node.given, &node.path, errno);
        let file = match self.folders[node.given].1.read(&node.path) {
            Ok(file) => file,
            Err(errno @ (Errno::ACCES | Errno::PERM)) => return Ok((node.stat, errno.0, (0, 0))),
            Err(errno) => return Err(cannot(errno)),
        };
        let stat = disk::stat(&file).map_err(cannot)?;
        let begin = out.push(&[], ALIGN);
        let read = (&file).take(stat.size.saturating_add(1)).read_to_end(&mut out.bytes);
        let length = read.map_err(|error| cannot(error.into()))?;
        if stat.kind != Kind::File || length as u64 != stat.size || stat.size > node.stat.size {
            return Err(format!("{} changes, or has no certain size", self.name(node.given, &node.path)));
        }
        Ok((stat, 0, (begin, length)))
    }

    /// How messages call what lies in a given folder.
    fn name(&self, given: usize, path: &Path) -> String {
        Path::new(self.folders[given].0).join(path).display().to_string()
    }

    fn cannot(&self, given: usize, path: &Path, errno: Errno) -> String {
        let name = self.name(given, path);
        match errno {
            Errno::ILSEQ => format!("something in {name} has a name or target that is not UTF-8"),
            Errno(errno) => format!("{name} cannot be read (WASI's error {errno})"),
        }
    }
}

fn too_large(most: u64) -> String {
    format!("the files have more than {most} bytes")
}

struct Writer {
    bytes: Vec<u8>,
    nodes_at: usize,
}

impl Writer {
    fn node(&self, node: usize) -> usize {
        self.nodes_at + node * NODE
    }

    fn set(&mut self, at: usize, value: usize) -> Result<(), String> {
        let value = u32::try_from(value).map_err(|_| too_large(u32::MAX.into()))?;
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Adds bytes; where they begin.
    fn push(&mut self, bytes: &[u8], align: usize) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        self.bytes.extend(bytes);
        self.bytes.len() - bytes.len()
    }

    /// Adds entries; where they begin, and how many there are.
    fn folder(&mut self, entries: &[(String, usize)]) -> Result<(usize, usize), String> {
        let begin = self.push(&vec![0; entries.len() * ENTRY], 4);
        for (i, (name, node)) in entries.iter().enumerate() {
            let (at, node) = (self.push(name.as_bytes(), 1), self.node(*node));
            for (field, value) in [at, name.len(), node].into_iter().enumerate() {
                self.set(begin + i * ENTRY + 4 * field, value)?;
            }
        }
        Ok((begin, entries.len()))
    }

    fn node_at(
        &mut self,
        number: usize,
        stat: &Stat,
        errno: u16,
        (at, length): (usize, usize),
        parent: usize,
    ) -> Result<(), String> {
        let to = self.node(number);
        self.set(to, stat.kind as usize)?;
        self.set(to + 4, errno.into())?;
        let Stat { inode, links, size, accessed, modified, changed, .. } = *stat;
        for (i, word) in [inode, links, size, accessed, modified, changed].into_iter().enumerate() {
            self.bytes[to + 8 + 8 * i..to + 16 + 8 * i].copy_from_slice(&word.to_le_bytes());
        }
        self.set(to + 56, at)?;
        self.set(to + 60, length)?;
        self.set(to + 64, self.node(parent))
    }
}
