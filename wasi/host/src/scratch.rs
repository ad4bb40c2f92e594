//! A folder in memory, of one VM. It goes with the VM's input.

use crate::errno::{Errno, Result};
use crate::stat::{Entry, How, Kind, Stat, Times};
use std::collections::{BTreeMap, VecDeque};

/// The number of a node.
pub type Inode = u64;

/// The folder itself.
pub const ROOT: Inode = 1;

/// Symbolic links that one path may lead through, as in Linux.
const LINKS: usize = 40;
/// Longest name, and longest path.
const NAME: usize = 255;
const PATH: usize = 4095;
/// Bytes that a node counts beside its contents, and an entry beside its name, so that a guest cannot make more of them
/// than there is room for.
const NODE: u64 = 128;

#[derive(Debug)]
enum Content {
    Folder { entries: BTreeMap<String, Inode>, parent: Inode },
    File(Vec<u8>),
    Link(String),
}

#[derive(Debug)]
struct Node {
    content: Content,
    /// Entries that name it, and descriptors that have it open. It goes when there are none.
    links: u64,
    opens: u64,
    accessed: u64,
    modified: u64,
    changed: u64,
}

/// The files of a VM.
#[derive(Debug)]
pub struct Scratch {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
    /// Bytes that are left.
    left: u64,
    /// The VM's clock at its last call.
    pub now: u64,
}

/// Where a path leads.
struct Place {
    folder: Inode,
    /// The last name of the path; `None` if it ends with `.` or `..`, and so is `folder` itself.
    name: Option<String>,
    /// What has that name.
    node: Option<Inode>,
    /// The path ends with a slash, so it must be a folder.
    slash: bool,
}

impl Place {
    fn existing(&self) -> Result<Inode> {
        self.node.ok_or(Errno::NOENT)
    }

    /// The name of something that is to be made.
    fn new_name(self) -> Result<String> {
        match (self.name, self.node) {
            (Some(name), None) => Ok(name),
            _ => Err(Errno::EXIST),
        }
    }
}

impl Scratch {
    /// An empty folder that takes so many bytes.
    pub fn new(bytes: u64, now: u64) -> Self {
        let mut scratch = Self { nodes: BTreeMap::new(), next: ROOT, left: bytes.saturating_add(NODE), now };
        let root = Content::Folder { entries: BTreeMap::new(), parent: ROOT };
        // There is room for it.
        _ = scratch.add(root);
        if let Some(root) = scratch.nodes.get_mut(&ROOT) {
            root.links = 1;
        }
        scratch
    }

    /// A file that the VM is given, with the folders on its path.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
        let mut folder = ROOT;
        while let Some(name) = names.next() {
            if matches!(name, "." | "..") || name.len() > NAME || name.contains('\0') {
                return Err(Errno::INVAL);
            }
            let there = self.entries(folder)?.get(name).copied();
            if names.peek().is_some() {
                folder = match there {
                    Some(inode) => inode,
                    None => {
                        self.make(folder, name.into(), |parent| Content::Folder { entries: BTreeMap::new(), parent })?
                    }
                };
                continue;
            }
            let file = match there {
                Some(inode) => inode,
                None => self.make(folder, name.into(), |_| Content::File(Vec::new()))?,
            };
            self.resize(file, 0)?;
            return self.write(file, bytes, Some(0)).and_then(|n| match n == bytes.len() {
                true => Ok(()),
                false => Err(Errno::NOSPC),
            });
        }
        Err(Errno::INVAL)
    }

    /// What a file has that the VM wrote.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let inode = self.walk(ROOT, path.trim_start_matches('/'), true).ok()?.node?;
        match &self.nodes.get(&inode)?.content {
            Content::File(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }

    fn node(&self, inode: Inode) -> Result<&Node> {
        self.nodes.get(&inode).ok_or(Errno::IO)
    }

    fn node_mut(&mut self, inode: Inode) -> Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(Errno::IO)
    }

    fn entries(&self, folder: Inode) -> Result<&BTreeMap<String, Inode>> {
        match &self.node(folder)?.content {
            Content::Folder { entries, .. } => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn take(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Errno::NOSPC)?;
        Ok(())
    }

    /// A new node, which nothing names yet.
    fn add(&mut self, content: Content) -> Result<Inode> {
        self.take(NODE)?;
        let inode = self.next;
        self.next += 1;
        let (links, opens, now) = (0, 0, self.now);
        self.nodes.insert(inode, Node { content, links, opens, accessed: now, modified: now, changed: now });
        Ok(inode)
    }

    /// Gives a node a name.
    fn name(&mut self, folder: Inode, name: String, inode: Inode) -> Result<()> {
        self.take(name.len() as u64 + NODE)?;
        let now = self.now;
        let node = self.node_mut(folder)?;
        (node.modified, node.changed) = (now, now);
        if let Content::Folder { entries, .. } = &mut node.content {
            entries.insert(name, inode);
        }
        let node = self.node_mut(inode)?;
        node.links += 1;
        node.changed = now;
        if let Content::Folder { parent, .. } = &mut node.content {
            *parent = folder;
        }
        Ok(())
    }

    /// Takes a name away.
    fn unname(&mut self, folder: Inode, name: &str) -> Result<()> {
        let now = self.now;
        let node = self.node_mut(folder)?;
        (node.modified, node.changed) = (now, now);
        let Content::Folder { entries, .. } = &mut node.content else { return Err(Errno::NOTDIR) };
        let inode = entries.remove(name).ok_or(Errno::NOENT)?;
        self.left += name.len() as u64 + NODE;
        let node = self.node_mut(inode)?;
        node.links -= 1;
        node.changed = now;
        self.collect(inode);
        Ok(())
    }

    /// A new node with a name.
    fn make(&mut self, folder: Inode, name: String, content: impl FnOnce(Inode) -> Content) -> Result<Inode> {
        // A folder that was removed is still open.
        if self.node(folder)?.links == 0 {
            return Err(Errno::NOENT);
        }
        let content = content(folder);
        if let Content::Link(target) = &content {
            self.take(target.len() as u64)?;
        }
        let inode = self.add(content)?;
        self.name(folder, name, inode).inspect_err(|_| self.collect(inode))?;
        Ok(inode)
    }

    /// Frees a node that nothing names and nobody has open.
    fn collect(&mut self, inode: Inode) {
        if self.nodes.get(&inode).is_some_and(|node| node.links == 0 && node.opens == 0)
            && let Some(node) = self.nodes.remove(&inode)
        {
            self.left += NODE
                + match node.content {
                    Content::File(bytes) => bytes.len() as u64,
                    Content::Link(target) => target.len() as u64,
                    Content::Folder { .. } => 0,
                };
        }
    }

    /// Follows a path from a folder, from which it must not lead out.
    fn walk(&self, start: Inode, path: &str, follow: bool) -> Result<Place> {
        let mut names = VecDeque::new();
        push(&mut names, path)?;
        let mut slash = path.ends_with('/');
        let (mut above, mut links) = (vec![start], 0);
        loop {
            let folder = *above.last().ok_or(Errno::IO)?;
            let Some(name) = names.pop_front() else {
                return Ok(Place { folder, name: None, node: Some(folder), slash: true });
            };
            let last = names.is_empty();
            match name.as_str() {
                "." => continue,
                ".." if above.len() == 1 => return Err(Errno::PERM),
                ".." => {
                    above.pop();
                    continue;
                }
                _ if name.len() > NAME => return Err(Errno::NAMETOOLONG),
                _ => {}
            }
            let Some(inode) = self.entries(folder)?.get(&name).copied() else {
                return if last {
                    Ok(Place { folder, name: Some(name), node: None, slash })
                } else {
                    Err(Errno::NOENT)
                };
            };
            match &self.node(inode)?.content {
                Content::Link(target) if !last || follow => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP);
                    }
                    let rest = std::mem::take(&mut names);
                    push(&mut names, target)?;
                    slash |= last && target.ends_with('/');
                    names.extend(rest);
                }
                Content::File(_) if !last || slash => return Err(Errno::NOTDIR),
                Content::Folder { .. } if !last => above.push(inode),
                _ => return Ok(Place { folder, name: Some(name), node: Some(inode), slash }),
            }
        }
    }

    /// Opens what a path names. What is opened must be [closed](Self::close).
    pub fn open(&mut self, start: Inode, path: &str, follow: bool, how: How) -> Result<(Inode, Kind)> {
        let place = self.walk(start, path, follow && !(how.create && how.exclusive))?;
        let inode = match place.node {
            Some(_) if how.create && how.exclusive => return Err(Errno::EXIST),
            Some(inode) => inode,
            None if how.create && place.slash => return Err(Errno::ISDIR),
            None if how.create => {
                let folder = place.folder;
                self.make(folder, place.new_name()?, |_| Content::File(Vec::new()))?
            }
            None => return Err(Errno::NOENT),
        };
        let kind = match &self.node(inode)?.content {
            Content::Folder { .. } if how.writes() => return Err(Errno::ISDIR),
            Content::Folder { .. } => Kind::Directory,
            Content::Link(_) => return Err(Errno::LOOP),
            _ if how.directory => return Err(Errno::NOTDIR),
            Content::File(_) => Kind::File,
        };
        if how.truncate {
            self.resize(inode, 0)?;
        }
        self.node_mut(inode)?.opens += 1;
        Ok((inode, kind))
    }

    pub fn close(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.opens -= 1;
        }
        self.collect(inode);
    }

    pub fn stat(&self, inode: Inode) -> Result<Stat> {
        let node = self.node(inode)?;
        let (kind, size, links) = match &node.content {
            Content::Folder { entries, .. } => {
                let is_folder =
                    |inode: &&Inode| matches!(self.node(**inode), Ok(Node { content: Content::Folder { .. }, .. }));
                (
                    Kind::Directory,
                    entries.len() as u64,
                    node.links + 1 + entries.values().filter(is_folder).count() as u64,
                )
            }
            Content::File(bytes) => (Kind::File, bytes.len() as u64, node.links),
            Content::Link(target) => (Kind::Link, target.len() as u64, node.links),
        };
        let &Node { accessed, modified, changed, .. } = node;
        Ok(Stat { inode, kind, links, size, accessed, modified, changed })
    }

    pub fn stat_at(&self, start: Inode, path: &str, follow: bool) -> Result<Stat> {
        self.stat(self.walk(start, path, follow)?.existing()?)
    }

    pub fn create_directory(&mut self, start: Inode, path: &str) -> Result<()> {
        let place = self.walk(start, path, false)?;
        let folder = place.folder;
        self.make(folder, place.new_name()?, |parent| Content::Folder { entries: BTreeMap::new(), parent })?;
        Ok(())
    }

    pub fn remove_directory(&mut self, start: Inode, path: &str) -> Result<()> {
        let place = self.walk(start, path, false)?;
        let inode = place.existing()?;
        // As Wasmtime, also for a path that ends with a slash.
        let name = place.name.filter(|_| !place.slash).ok_or(Errno::INVAL)?;
        if !self.entries(inode)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.unname(place.folder, &name)
    }

    pub fn unlink(&mut self, start: Inode, path: &str) -> Result<()> {
        let place = self.walk(start, path, false)?;
        let inode = place.existing()?;
        match (place.name, &self.node(inode)?.content) {
            (Some(name), Content::File(_) | Content::Link(_)) => self.unname(place.folder, &name),
            _ => Err(Errno::ISDIR),
        }
    }

    pub fn read_link(&self, start: Inode, path: &str) -> Result<String> {
        let inode = self.walk(start, path, false)?.existing()?;
        match &self.node(inode)?.content {
            Content::Link(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        }
    }

    pub fn symlink(&mut self, target: &str, start: Inode, path: &str) -> Result<()> {
        if target.starts_with('/') {
            return Err(Errno::PERM);
        }
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        let place = self.walk(start, path, false)?;
        if place.slash && place.node.is_none() {
            return Err(Errno::NOENT);
        }
        let folder = place.folder;
        self.make(folder, place.new_name()?, |_| Content::Link(target.into()))?;
        Ok(())
    }

    pub fn link(&mut self, start: Inode, path: &str, follow: bool, to: Inode, new: &str) -> Result<()> {
        if follow {
            return Err(Errno::INVAL);
        }
        let inode = self.walk(start, path, false)?.existing()?;
        let place = self.walk(to, new, false)?;
        let (folder, slash) = (place.folder, place.slash);
        let name = place.new_name()?;
        match &self.node(inode)?.content {
            Content::Folder { .. } => Err(Errno::PERM),
            _ if slash => Err(Errno::NOENT),
            _ => self.name(folder, name, inode),
        }
    }

    pub fn rename(&mut self, start: Inode, path: &str, to: Inode, new: &str) -> Result<()> {
        let from = self.walk(start, path, false)?;
        let inode = from.existing()?;
        let to = self.walk(to, new, false)?;
        let (Some(old), Some(new)) = (from.name, to.name) else { return Err(Errno::BUSY) };
        let is_folder = matches!(self.node(inode)?.content, Content::Folder { .. });
        // A folder does not go into itself.
        let mut above = to.folder;
        while is_folder && above != ROOT {
            match &self.node(above)?.content {
                _ if above == inode => return Err(Errno::INVAL),
                Content::Folder { parent, .. } => above = *parent,
                _ => break,
            }
        }
        match to.node {
            Some(there) if there == inode => return Ok(()),
            Some(there) => match (&self.node(there)?.content, is_folder) {
                (Content::Folder { entries, .. }, true) if !entries.is_empty() => return Err(Errno::NOTEMPTY),
                (Content::Folder { .. }, true) => {}
                (Content::Folder { .. }, false) => return Err(Errno::ISDIR),
                (_, true) => return Err(Errno::NOTDIR),
                (_, false) => {}
            },
            None if to.slash && !is_folder => return Err(Errno::NOTDIR),
            None => {}
        }
        // Held, it outlives the moment without a name.
        self.node_mut(inode)?.opens += 1;
        let moved = self.unname(from.folder, &old).and_then(|()| {
            // What is replaced makes room for at least its own name.
            let replaced = if to.node.is_some() { self.unname(to.folder, &new) } else { Ok(()) };
            replaced.and_then(|()| self.name(to.folder, new, inode)).or_else(|why| {
                self.name(from.folder, old, inode)?;
                Err(why)
            })
        });
        self.close(inode);
        moved
    }

    pub fn set_times_at(&mut self, start: Inode, path: &str, follow: bool, times: Times) -> Result<()> {
        let inode = self.walk(start, path, follow)?.existing()?;
        self.set_times(inode, times)
    }

    pub fn set_times(&mut self, inode: Inode, times: Times) -> Result<()> {
        let now = self.now;
        let node = self.node_mut(inode)?;
        if let Some(time) = times.accessed {
            node.accessed = time.unwrap_or(now);
        }
        if let Some(time) = times.modified {
            node.modified = time.unwrap_or(now);
        }
        node.changed = now;
        Ok(())
    }

    /// The entries of a folder, by name.
    pub fn list(&self, folder: Inode) -> Result<Vec<Entry>> {
        let entry = |(name, inode): (&String, &Inode)| {
            let kind = match self.node(*inode)?.content {
                Content::Folder { .. } => Kind::Directory,
                Content::File(_) => Kind::File,
                Content::Link(_) => Kind::Link,
            };
            Ok(Entry { name: name.clone(), inode: *inode, kind })
        };
        self.entries(folder)?.iter().map(entry).collect()
    }

    fn bytes(&mut self, file: Inode) -> Result<&mut Vec<u8>> {
        match &mut self.node_mut(file)?.content {
            Content::File(bytes) => Ok(bytes),
            _ => Err(Errno::BADF),
        }
    }

    /// Cuts a file, or makes it longer with zeros.
    pub fn resize(&mut self, file: Inode, size: u64) -> Result<()> {
        let (before, now) = (self.bytes(file)?.len() as u64, self.now);
        if size > before {
            self.take(size - before)?;
        } else {
            self.left += before - size;
        }
        // It is at most what there was room for.
        self.bytes(file)?.resize(usize::try_from(size).map_err(|_| Errno::NOSPC)?, 0);
        let node = self.node_mut(file)?;
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    /// Fills the buffer from a place in a file; less only at its end.
    pub fn read(&mut self, file: Inode, buffer: &mut [u8], at: u64) -> Result<usize> {
        let bytes = self.bytes(file)?;
        let from = bytes.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
        let n = from.len().min(buffer.len());
        buffer[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    /// Writes at a place in a file, or at its end.
    pub fn write(&mut self, file: Inode, from: &[u8], at: Option<u64>) -> Result<usize> {
        let size = self.bytes(file)?.len() as u64;
        let at = at.unwrap_or(size);
        if from.is_empty() {
            return Ok(0);
        }
        // As much as there is room for.
        let most = (size + self.left).saturating_sub(at).min(from.len() as u64);
        if most == 0 {
            return Err(Errno::NOSPC);
        }
        let end = at + most;
        if end > size {
            self.resize(file, end)?;
        }
        let now = self.now;
        let node = self.node_mut(file)?;
        (node.modified, node.changed) = (now, now);
        let (at, end) = (at as usize, end as usize);
        self.bytes(file)?[at..end].copy_from_slice(&from[..end - at]);
        Ok(end - at)
    }
}

/// The names of a path.
fn push(names: &mut VecDeque<String>, path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.len() > PATH {
        return Err(Errno::NAMETOOLONG);
    }
    if path.starts_with('/') {
        return Err(Errno::PERM);
    }
    if path.contains('\0') {
        return Err(Errno::INVAL);
    }
    names.extend(path.split('/').filter(|name| !name.is_empty()).map(String::from));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(flags: u32) -> How {
        How::new(flags, 1 << 1 | 1 << 6).expect("flags")
    }

    /// Creates a file, and opens it.
    fn create(scratch: &mut Scratch, path: &str) -> Result<Inode> {
        scratch.open(ROOT, path, true, how(1)).map(|(inode, _)| inode)
    }

    #[test]
    fn there_is_as_much_room_as_was_given() {
        let room = 10_000 + 2 * NODE + 1;
        let mut scratch = Scratch::new(room, 0);
        let file = create(&mut scratch, "f").expect("room");
        assert_eq!(scratch.write(file, &[1; 9000], Some(0)), Ok(9000));
        // As much as there is room for, then nothing.
        assert_eq!(scratch.write(file, &[2; 2000], None), Ok(1000));
        assert_eq!(scratch.write(file, &[3; 1], None), Err(Errno::NOSPC));
        assert_eq!(scratch.write(file, &[3; 1], Some(1 << 60)), Err(Errno::NOSPC));
        assert_eq!(scratch.resize(file, u64::MAX), Err(Errno::NOSPC));
        assert_eq!(scratch.create_directory(ROOT, "a"), Err(Errno::NOSPC));
        assert_eq!(scratch.write(file, &[4; 5], Some(0)), Ok(5), "what is there can be written over");
        // Open, a file has its room also without a name.
        scratch.unlink(ROOT, "f").expect("it is there");
        assert_eq!(scratch.left, NODE + 1);
        scratch.close(file);
        assert_eq!(scratch.left, room);
    }

    #[test]
    fn a_name_that_finds_no_room_leaves_the_old_one() {
        let mut scratch = Scratch::new(2 * NODE + 10, 0);
        let file = create(&mut scratch, "f").expect("room");
        scratch.close(file);
        assert_eq!(scratch.rename(ROOT, "f", ROOT, "a name that is too long"), Err(Errno::NOSPC));
        assert_eq!(scratch.rename(ROOT, "f", ROOT, "short"), Ok(()));
        assert_eq!(scratch.get("short"), Some(Vec::new()));
        scratch.unlink(ROOT, "short").expect("it is there");
        assert_eq!((scratch.left, scratch.nodes.len()), (2 * NODE + 10, 1));
    }

    #[test]
    fn files_are_given_and_taken() {
        let mut scratch = Scratch::new(1 << 20, 7);
        for (path, bytes) in [("a/b/c", "one"), ("/a/d", "two"), ("a/b/c", "three")] {
            scratch.put(path, bytes.as_bytes()).expect("room");
        }
        assert_eq!(scratch.get("a/b/c"), Some(b"three".to_vec()));
        assert_eq!(scratch.get("/a/d"), Some(b"two".to_vec()));
        assert_eq!((scratch.get("a"), scratch.get("none")), (None, None));
        for wrong in ["", "/", "a/../b", "./a", "a/d/e", "a"] {
            assert!(scratch.put(wrong, b"x").is_err(), "{wrong}");
        }
        assert_eq!(scratch.stat_at(ROOT, "a/d", true).map(|stat| (stat.size, stat.modified)), Ok((3, 7)));
    }

    #[test]
    fn a_folder_does_not_go_into_itself() {
        let mut scratch = Scratch::new(1 << 20, 0);
        for path in ["a", "a/b", "a/b/c", "d"] {
            scratch.create_directory(ROOT, path).expect("room");
        }
        assert_eq!(scratch.rename(ROOT, "a", ROOT, "a/b/c/a"), Err(Errno::INVAL));
        assert_eq!(scratch.rename(ROOT, "a/b", ROOT, "d/b"), Ok(()));
        assert_eq!(scratch.rename(ROOT, "d", ROOT, "d/b/c/d"), Err(Errno::INVAL));
        assert_eq!(scratch.rename(ROOT, "a", ROOT, "d/b/c/a"), Ok(()));
        assert!(scratch.walk(ROOT, "d/b/c/a/../../c", false).is_ok());
    }
}
