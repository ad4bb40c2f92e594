// Files from AssemblyScript, which has no library for them: `script CASE NUMBER disk|memory`, as `c/calls.c`.
// Built by `asc script.ts --runtime stub --use abort= -O -o script.wasm` (AssemblyScript 0.28.20).

@external("wasi_snapshot_preview1", "args_sizes_get")
declare function args_sizes_get(count: usize, bytes: usize): u32;
@external("wasi_snapshot_preview1", "args_get")
declare function args_get(pointers: usize, bytes: usize): u32;
@external("wasi_snapshot_preview1", "path_open")
declare function path_open(dir: u32, look: u32, path: usize, length: u32, flags: u32, rights: u64, inherited: u64, fdflags: u32, fd: usize): u32;
@external("wasi_snapshot_preview1", "path_create_directory")
declare function path_create_directory(dir: u32, path: usize, length: u32): u32;
@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: u32, buffers: usize, count: u32, read: usize): u32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: u32, buffers: usize, count: u32, written: usize): u32;
@external("wasi_snapshot_preview1", "fd_close")
declare function fd_close(fd: u32): u32;
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: u32): void;

const at = memory.data(64);
const GIVEN: u32 = 3;

function write(fd: u32, text: string): u32 {
  const bytes = String.UTF8.encode(text);
  let from = changetype<usize>(bytes), left = <u32>bytes.byteLength;
  while (left > 0) {
    store<u32>(at, <u32>from);
    store<u32>(at + 4, left);
    const errno = fd_write(fd, at, 1, at + 8);
    if (errno) return errno;
    from += load<u32>(at + 8);
    left -= load<u32>(at + 8);
  }
  return 0;
}

function say(text: string): void {
  if (write(1, text + "\n")) proc_exit(3);
}

// The new descriptor, or minus the errno.
function open(dir: u32, path: string, flags: u32, rights: u64): i32 {
  const name = String.UTF8.encode(path);
  const errno = path_open(dir, 1, changetype<usize>(name), name.byteLength, flags, rights, 0x3fffffff, 0, at + 12);
  return errno ? -<i32>errno : load<i32>(at + 12);
}

function read(dir: u32, path: string): string {
  const fd = open(dir, path, 0, 2);
  if (fd < 0) return "errno " + (-fd).toString();
  const room = new ArrayBuffer(1000);
  let all = "";
  for (;;) {
    store<u32>(at, <u32>changetype<usize>(room));
    store<u32>(at + 4, 1000);
    if (fd_read(fd, at, 1, at + 8) || !load<u32>(at + 8)) break;
    all += String.UTF8.decodeUnsafe(changetype<usize>(room), load<u32>(at + 8));
  }
  fd_close(fd);
  return all;
}

function makeFolder(dir: u32, path: string): u32 {
  const name = String.UTF8.encode(path);
  return path_create_directory(dir, changetype<usize>(name), name.byteLength);
}

export function _start(): void {
  if (args_sizes_get(at, at + 4)) proc_exit(2);
  const count = load<u32>(at), pointers = new ArrayBuffer(4 * count), bytes = new ArrayBuffer(load<u32>(at + 4));
  args_get(changetype<usize>(pointers), changetype<usize>(bytes));
  if (count != 4) {
    say("read_given\nwrite_and_read\nfolders");
    return;
  }
  const name = String.UTF8.decodeUnsafe(load<u32>(changetype<usize>(pointers) + 4), 100, true);
  const number = String.UTF8.decodeUnsafe(load<u32>(changetype<usize>(pointers) + 8), 100, true);
  const place = String.UTF8.decodeUnsafe(load<u32>(changetype<usize>(pointers) + 12), 100, true);
  const dir: u32 = place == "disk" ? 4 : 5, own = name + "-as-" + number;
  if (makeFolder(dir, own)) proc_exit(2);
  if (name == "read_given") {
    say(read(GIVEN, "text"));
    say(read(GIVEN, "below/text"));
    say(read(GIVEN, "none"));
    say(read(GIVEN, "../text"));
  } else if (name == "write_and_read") {
    let text = "";
    for (let i = 0; i < 200; i++) text += number + " times " + i.toString() + "\n";
    const fd = open(dir, own + "/f", 1, 64);
    say(write(fd, text).toString());
    say(fd_close(fd).toString());
    say((read(dir, own + "/f") == text).toString());
  } else if (name == "folders") {
    say(makeFolder(dir, own + "/a").toString());
    say(makeFolder(dir, own + "/a").toString());
    say(makeFolder(dir, own + "/b/c").toString());
    say(open(dir, own + "/a", 1, 64).toString());
  }
}
