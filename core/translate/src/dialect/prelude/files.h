/* The calls that concern files, where these lie on the device: a copy of folders that are only read, which all VMs share
   (`abi.rs` says how it is laid out). What each call says is what wasi/host says of such folders. Descriptors of streams
   go on to `host.h`. */
#define VV_ENDS 27u /* any errno: the VM ends */
#define VV_EILSEQ 25u
#define VV_ELOOP 32u
#define VV_EMFILE 33u
#define VV_ENAMETOOLONG 37u
#define VV_ENOENT 44u
#define VV_ENOTSUP 58u
#define VV_EPERM 63u
/* Fields of a node. */
#define VV_NODE_KIND 0u
#define VV_NODE_ERRNO 4u
#define VV_NODE_INODE 8u
#define VV_NODE_LINKS 16u
#define VV_NODE_SIZE 24u
#define VV_NODE_TIMES 32u
#define VV_NODE_AT 56u
#define VV_NODE_LENGTH 60u
#define VV_NODE_PARENT 64u
#define VV_FOLDER 3u
#define VV_LINK 7u
/* Where given folders begin, and their bytes; those of an entry. */
#define VV_GIVEN_AT 8u
#define VV_GIVEN 12u
#define VV_ENTRY 12u
/* The longest path and name, and the most links on a path, as in Linux. */
#define VV_PATH 4095u
#define VV_NAME 255u
#define VV_LINKS 40u
/* The host fetches no longer path, whatever it is for. */
#define VV_LONGEST_PATH 16384u
VV_INLINE u32 vv_field(VM *vm, u32 node, u32 field) { return vv_ro32(vm->files, node + field); }
VV_INLINE u64 vv_field64(VM *vm, u32 node, u32 field) { return vv_ro64(vm->files, node + field); }

/* The table of descriptors begins with how many numbers there were at a time (0: as at the start); then each has two
   words. In the first are its node (0: as at the start, which is not open, or a given folder), its flags, and the number
   of a given folder and 1 more. The second is the position in a file. */
#define VV_CLOSED 1u /* no node */
#define VV_FLAGS_OF(open) ((u32)((open) >> 32) & 0xffu)
#define VV_NAME_OF(open) ((u32)((open) >> 40))
#define VV_APPEND 1u
#define VV_NONBLOCK 4u
#define VV_SYNC 26u
#define VV_DESCRIPTOR(fd) (VV_DESCRIPTORS_AT + 8 + (fd) * 16)
#define VV_POSITION(fd) (VV_DESCRIPTOR(fd) + 8)
/* What a descriptor is; 0 if it is not open, or a stream. */
VV_HELPER u64 vv_descriptor(VM *vm, u32 fd) {
    if (fd >= VV_DESCRIPTORS) return 0;
    u64 open = vv_w64(vm->head, VV_DESCRIPTOR(fd));
    u32 given = fd - 3;
    if (!open && given < vv_ro32(vm->files, 0))
        open = vv_ro32(vm->files, VV_GIVEN_AT + given * VV_GIVEN) | (u64)(given + 1) << 40;
    return (u32)open == VV_CLOSED ? 0 : open;
}
VV_INLINE u32 vv_is_folder(VM *vm, u32 node) { return vv_field(vm, node, VV_NODE_KIND) == VV_FOLDER; }
/* The node of a descriptor that is a file, or a folder; else 0. */
VV_INLINE u32 vv_file_node(VM *vm, u32 fd) {
    u32 node = (u32)vv_descriptor(vm, fd);
    return node && !vv_is_folder(vm, node) ? node : 0;
}
VV_INLINE u32 vv_folder_node(VM *vm, u32 fd) {
    u32 node = (u32)vv_descriptor(vm, fd);
    return node && vv_is_folder(vm, node) ? node : 0;
}
VV_INLINE void vv_set_descriptor(VM *vm, u32 fd, u64 open) { vv_sw64(vm->head, VV_DESCRIPTOR(fd), open); }
VV_INLINE u64 vv_numbers(VM *vm) {
    u64 count = vv_w64(vm->head, VV_DESCRIPTORS_AT);
    return count ? count : 3 + vv_ro32(vm->files, 0);
}

/* The errno of a path that no call takes, and VV_EINVAL if it has a NUL, which only matters where it is followed. */
VV_HELPER u32 vv_path(VM *vm, u32 p, u32 n) {
    if (n > VV_LONGEST_PATH) return VV_ENAMETOOLONG;
    if (vv_must_end(vm, vv_charge(vm, n))) return VV_ENDS;
    u32 more = 0, low = 0x80, high = 0xbf, nul = 0;
    for (u32 i = 0; i < n; i++) {
        u32 c = vv_ld8(vm->mem, p + i);
        if (more) {
            if (c < low || c > high) return VV_EILSEQ;
            more--;
            low = 0x80;
            high = 0xbf;
        } else if (c >= 0x80) {
            if (c < 0xc2 || c > 0xf4) return VV_EILSEQ;
            more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
            if (c == 0xe0) low = 0xa0;
            if (c == 0xf0) low = 0x90;
            if (c == 0xed) high = 0x9f;
            if (c == 0xf4) high = 0x8f;
        } else if (!c) {
            nul = VV_EINVAL;
        }
    }
    return more ? VV_EILSEQ : nul;
}
/* A byte of a path, which lies in the VM's memory, or of a link's target. */
VV_INLINE u32 vv_path_byte(VM *vm, u32 own, u32 at) { return own ? vv_ld8(vm->mem, at) : vv_ro8(vm->files, at); }
/* The node of a name in a folder, or 0. */
VV_HELPER u32 vv_lookup(VM *vm, u32 folder, u32 own, u32 name, u32 length) {
    u32 entries = vv_field(vm, folder, VV_NODE_AT), low = 0, high = vv_field(vm, folder, VV_NODE_LENGTH);
    while (low < high) {
        u32 middle = low + (high - low) / 2, entry = entries + middle * VV_ENTRY;
        u32 at = vv_ro32(vm->files, entry), n = vv_ro32(vm->files, entry + 4), i = 0;
        while (i < length && i < n && vv_path_byte(vm, own, name + i) == vv_ro8(vm->files, at + i)) i++;
        if (i == length && i == n) return vv_ro32(vm->files, entry + 8);
        if (i < n && (i == length || vv_path_byte(vm, own, name + i) < vv_ro8(vm->files, at + i))) high = middle;
        else low = middle + 1;
    }
    return 0;
}
/* What a path names below a folder, out of which it must not lead: the node, or an errno in the upper half. */
#define VV_NO(errno_) ((u64)(errno_) << 32)
VV_HELPER u64 vv_walk(VM *vm, u32 start, u32 p, u32 n, u32 follow) {
    u64 rest[VV_LINKS]; /* what follows behind links */
    u32 own = 1, at = p, end = p + n, waiting = 0, first_is_own = 0, links = 0, slash = 0, node = start;
    if (!n) return VV_NO(VV_ENOENT);
    if (n > VV_PATH) return VV_NO(VV_ENAMETOOLONG);
    if (vv_ld8(vm->mem, p) == '/') return VV_NO(VV_EPERM);
    for (;;) {
        if (at == end) {
            if (!waiting) return node;
            u64 next = rest[--waiting];
            own = !waiting && first_is_own;
            at = (u32)next;
            end = (u32)(next >> 32);
        }
        u32 name = at, length, last;
        while (at < end && vv_path_byte(vm, own, at) != '/') at++;
        length = at - name;
        last = at; /* the slashes behind it are no name */
        while (at < end && vv_path_byte(vm, own, at) == '/') at++;
        if (vv_must_end(vm, vv_charge(vm, 16 + length))) return VV_NO(VV_ENDS);
        if (length == 1 && vv_path_byte(vm, own, name) == '.') continue;
        if (length == 2 && vv_path_byte(vm, own, name) == '.' && vv_path_byte(vm, own, name + 1) == '.') {
            if (node == start) return VV_NO(VV_EPERM);
            node = vv_field(vm, node, VV_NODE_PARENT);
            continue;
        }
        if (length > VV_NAME) return VV_NO(VV_ENAMETOOLONG);
        u32 slashes = at != last;
        last = at == end && !waiting;
        slash |= last && slashes;
        u32 found = vv_lookup(vm, node, own, name, length);
        if (!found) return VV_NO(VV_ENOENT);
        u32 kind = vv_field(vm, found, VV_NODE_KIND);
        if (kind == VV_FOLDER) {
            if (last) return found;
            node = found;
        } else if (kind == VV_LINK && (!last || follow || slash)) {
            if (links++ == VV_LINKS) return VV_NO(VV_ELOOP);
            if (at != end) {
                if (!waiting) first_is_own = own;
                rest[waiting++] = at | (u64)end << 32;
            }
            own = 0;
            at = vv_field(vm, found, VV_NODE_AT);
            end = at + vv_field(vm, found, VV_NODE_LENGTH);
            if (at == end) return VV_NO(VV_ENOENT);
            if (vv_ro8(vm->files, at) == '/') return VV_NO(VV_EPERM);
        } else if (kind != VV_LINK && (!last || slash)) {
            return VV_NO(VV_ENOTDIR);
        } else {
            return found;
        }
    }
}

VV_HELPER u32 vv_file_stat(VM *vm, u32 node, u32 p, u32 bytes) {
    u64 links = vv_field64(vm, node, VV_NODE_LINKS);
    vv_st64(vm->mem, p, 1); /* the device */
    vv_st64(vm->mem, p + 8, vv_field64(vm, node, VV_NODE_INODE));
    vv_st64(vm->mem, p + 16, vv_field(vm, node, VV_NODE_KIND));
    if (bytes == 64) {
        vv_st64(vm->mem, p + 24, links);
        p += 8;
    } else {
        vv_st32(vm->mem, p + 20, links >> 32 ? 0xffffffffu : (u32)links);
    }
    vv_st64(vm->mem, p + 24, vv_field64(vm, node, VV_NODE_SIZE));
    for (u32 i = 0; i < 3; i++) vv_st64(vm->mem, p + 32 + 8 * i, vv_field64(vm, node, VV_NODE_TIMES + 8 * i));
    return 0;
}
VV_HELPER u32 vv_files_filestat(VM *vm, u32 fd, u32 p, u32 bytes) {
    if (vv_stream(vm, fd)) return vv_filestat(vm, fd, p, bytes);
    if (!vv_writable(vm, p, bytes)) return VV_EFAULT;
    u32 node = (u32)vv_descriptor(vm, fd);
    return node ? vv_file_stat(vm, node, p, bytes) : VV_EBADF;
}
#define vv_files_fd_filestat_get(vm, fd, p) vv_files_filestat(vm, fd, p, 64u)
#define vv_files_fd_filestat_get_0(vm, fd, p) vv_files_filestat(vm, fd, p, 56u)
/* A path of one name, which nothing follows, is looked up as it is, also with slashes behind it: the bytes of the name,
   or of the path if it is another. */
VV_HELPER u32 vv_alone(VM *vm, u32 p, u32 n) {
    u32 length = 0, dots = 0;
    while (length < n && vv_ld8(vm->mem, p + length) != '/') dots += vv_ld8(vm->mem, p + length++) == '.';
    if (!length || length == dots && dots < 3) return n;
    for (u32 i = length; i < n; i++) {
        u32 c = vv_ld8(vm->mem, p + i);
        if (c != '/' && (c != '.' || vv_ld8(vm->mem, p + i - 1) != '/')) return n;
    }
    return length;
}
VV_HELPER u32 vv_files_stat_at(VM *vm, u32 fd, u32 look, u32 p, u32 n, u32 to, u32 bytes) {
    if (!vv_in_bounds(vm, p, n) || !vv_writable(vm, to, bytes)) return VV_EFAULT;
    if (look > 1) return VV_EINVAL;
    u32 folder = vv_folder_node(vm, fd);
    if (!folder) return VV_EBADF;
    u32 bad = vv_path(vm, p, n);
    if (bad) return bad;
    u64 found = vv_walk(vm, folder, p, look ? n : vv_alone(vm, p, n), look);
    return found >> 32 ? (u32)(found >> 32) : vv_file_stat(vm, (u32)found, to, bytes);
}
#define vv_files_path_filestat_get(vm, fd, look, p, n, to) vv_files_stat_at(vm, fd, look, p, n, to, 64u)
#define vv_files_path_filestat_get_0(vm, fd, look, p, n, to) vv_files_stat_at(vm, fd, look, p, n, to, 56u)

/* The number of a new descriptor: as in Wasmtime the largest that was closed, or else the next. */
VV_INLINE u32 vv_new_number(VM *vm) {
    u32 count = (u32)vv_numbers(vm), next = 0, low = 3;
    for (u32 fd = count; fd-- > 0;) {
        u64 open = vv_w64(vm->head, VV_DESCRIPTOR(fd));
        if ((u32)open == VV_CLOSED) return fd;
        if (!next && (open || fd > 2)) next = fd + 1;
        if (low == 3 && !open && fd < 3 && !vv_stream(vm, fd)) low = fd;
    }
    return low < 3 ? low : next < 3 ? 3 : next;
}
VV_HELPER u32 vv_files_path_open(VM *vm, u32 fd, u32 look, u32 p, u32 n, u32 how, u64 rights, u64 inherited, u32 flags, u32 result) {
    if (!vv_in_bounds(vm, p, n) || !vv_writable(vm, result, 4)) return VV_EFAULT;
    u32 bad = vv_path(vm, p, n);
    if (bad && bad != VV_EINVAL) return bad;
    /* O_CREAT 1, O_DIRECTORY 2, O_EXCL 4, O_TRUNC 8 */
    if (look > 1 || how > 15 || (how & 2 && how & 13) || flags > 31) return VV_EINVAL;
    u32 folder = (u32)vv_descriptor(vm, fd);
    if (!folder) return VV_EBADF;
    if (!vv_is_folder(vm, folder)) return VV_ENOTDIR;
    if (flags & VV_SYNC) return VV_ENOTSUP;
    if (rights & 64 || how & 9) return VV_EPERM;
    if (bad) return bad;
    u64 found = vv_walk(vm, folder, p, n, look);
    if (found >> 32) return (u32)(found >> 32);
    u32 node = (u32)found;
    if (vv_field(vm, node, VV_NODE_KIND) == VV_LINK) return VV_ELOOP;
    if (vv_field(vm, node, VV_NODE_ERRNO)) return vv_field(vm, node, VV_NODE_ERRNO);
    if (how & 2 && !vv_is_folder(vm, node)) return VV_ENOTDIR;
    u32 new_ = vv_new_number(vm);
    if (new_ >= VV_DESCRIPTORS) return VV_EMFILE;
    vv_set_descriptor(vm, new_, node | (u64)(flags & (VV_APPEND | VV_NONBLOCK)) << 32);
    vv_sw64(vm->head, VV_POSITION(new_), 0);
    if (new_ >= vv_numbers(vm)) vv_sw64(vm->head, VV_DESCRIPTORS_AT, new_ + 1);
    vv_st32(vm->mem, result, new_);
    return 0;
}
VV_HELPER u32 vv_files_path_readlink(VM *vm, u32 fd, u32 p, u32 n, u32 to, u32 room, u32 result) {
    if (!vv_in_bounds(vm, p, n) || !vv_writable(vm, to, room) || !vv_writable(vm, result, 4)) return VV_EFAULT;
    u32 folder = vv_folder_node(vm, fd);
    if (!folder) return VV_EBADF;
    u32 bad = vv_path(vm, p, n);
    if (bad) return bad;
    u64 found = vv_walk(vm, folder, p, n, 0);
    if (found >> 32) return (u32)(found >> 32);
    if (vv_field(vm, (u32)found, VV_NODE_KIND) != VV_LINK) return VV_EINVAL;
    u32 length = vv_field(vm, (u32)found, VV_NODE_LENGTH), target = vv_field(vm, (u32)found, VV_NODE_AT);
    if (length && vv_ro8(vm->files, target) == '/') return VV_EPERM; /* is not told */
    if (room > length) room = length;
    if (vv_must_end(vm, vv_copy_in(vm, vm->mem, to, vm->files + target, room))) return 0;
    vv_st32(vm->mem, result, room);
    return 0;
}

VV_HELPER u32 vv_files_fd_close(VM *vm, u32 fd) {
    if (vv_stream(vm, fd)) return vv_fd_close(vm, fd);
    if (!vv_descriptor(vm, fd)) return VV_EBADF;
    vv_set_descriptor(vm, fd, VV_CLOSED);
    return 0;
}
/* A stream cannot get a number above 2. */
VV_HELPER u32 vv_files_fd_renumber(VM *vm, u32 from, u32 to) {
    u32 stream = vv_stream(vm, from), onto = vv_stream(vm, to);
    if (stream && onto) return vv_fd_renumber(vm, from, to);
    u64 open = vv_descriptor(vm, from);
    if (!stream && !open || !onto && !vv_descriptor(vm, to)) return VV_EBADF;
    if (from == to) return 0;
    if (stream) return VV_ENOTSUP;
    if (onto) vv_set_stream(vm, to, 0);
    vv_set_descriptor(vm, to, open);
    vv_sw64(vm->head, VV_POSITION(to), vv_w64(vm->head, VV_POSITION(from)));
    vv_set_descriptor(vm, from, VV_CLOSED);
    return 0;
}
VV_HELPER u32 vv_files_fd_fdstat_get(VM *vm, u32 fd, u32 p) {
    if (vv_stream(vm, fd)) return vv_fd_fdstat_get(vm, fd, p);
    if (!vv_writable(vm, p, 24)) return VV_EFAULT;
    u64 open = vv_descriptor(vm, fd);
    if (!open) return VV_EBADF;
    u32 kind = vv_field(vm, (u32)open, VV_NODE_KIND);
    /* All rights but fd_write; a folder has none to seek, and none to set a size. One that was given has those of paths,
       but not to set a size; what is opened in it may inherit those of files. */
    u64 own = 0x3fffffffu & ~(u64)64, inherited;
    if (kind == VV_FOLDER) own &= ~(u64)(4 | 1u << 19 | 1u << 22);
    inherited = own;
    if (VV_NAME_OF(open)) {
        own = 0x7b7fe00u;
        inherited = own | 0x1ffu | 1u << 22 | 1u << 27;
    }
    vv_st64(vm->mem, p, kind | (u64)VV_FLAGS_OF(open) << 16);
    vv_st64(vm->mem, p + 8, own);
    vv_st64(vm->mem, p + 16, inherited);
    return 0;
}
VV_HELPER u32 vv_files_fd_fdstat_set_flags(VM *vm, u32 fd, u32 flags) {
    if (flags > 31) return VV_EINVAL;
    if (!vv_file_node(vm, fd)) return VV_EBADF;
    if (flags & VV_SYNC) return VV_EINVAL;
    vv_set_descriptor(vm, fd, (vv_descriptor(vm, fd) & ~((u64)0xff << 32)) | (u64)flags << 32);
    return 0;
}
VV_HELPER u32 vv_files_fd_prestat_get(VM *vm, u32 fd, u32 p) {
    if (!vv_writable(vm, p, 8)) return VV_EFAULT;
    u32 name = VV_NAME_OF(vv_descriptor(vm, fd));
    if (!name) return VV_EBADF;
    vv_st64(vm->mem, p, (u64)vv_ro32(vm->files, VV_GIVEN_AT + (name - 1) * VV_GIVEN + 8) << 32);
    return 0;
}
VV_HELPER u32 vv_files_fd_prestat_dir_name(VM *vm, u32 fd, u32 p, u32 n) {
    if (vv_stream(vm, fd)) return VV_ENOTDIR;
    if (!vv_writable(vm, p, n)) return VV_EFAULT;
    u64 open = vv_descriptor(vm, fd);
    if (!open) return VV_EBADF;
    if (!VV_NAME_OF(open)) return VV_ENOTDIR;
    u32 given = VV_GIVEN_AT + (VV_NAME_OF(open) - 1) * VV_GIVEN, length = vv_ro32(vm->files, given + 8);
    if (length > n) return VV_ENAMETOOLONG;
    vv_copy_in_short(vm->mem, p, vm->files + vv_ro32(vm->files, given + 4), length); /* not charged, as no guest chooses it */
    return 0;
}

VV_HELPER u32 vv_files_seek(VM *vm, u32 fd, u64 offset, u32 whence, u32 p) {
    if (vv_stream(vm, fd)) return VV_ESPIPE;
    if (!vv_writable(vm, p, 8)) return VV_EFAULT;
    u32 node = vv_file_node(vm, fd);
    if (!node) return VV_EBADF;
    if (whence > 2) return VV_EINVAL;
    u64 from = whence == 0 ? 0 : whence == 1 ? vv_w64(vm->head, VV_POSITION(fd)) : vv_field64(vm, node, VV_NODE_SIZE);
    u64 to = from + offset;
    if ((s64)offset < 0 ? to > from : to < from) return VV_EINVAL;
    vv_sw64(vm->head, VV_POSITION(fd), to);
    vv_st64(vm->mem, p, to);
    return 0;
}
#define vv_files_fd_seek vv_files_seek
/* Snapshot 0 counts from the present, from the end, from the start. */
#define vv_files_fd_seek_0(vm, fd, offset, whence, p) \
    vv_files_seek(vm, fd, offset, (whence) == 0 ? 1u : (whence) == 1 ? 2u : (whence) == 2 ? 0u : 3u, p)
VV_HELPER u32 vv_files_fd_tell(VM *vm, u32 fd, u32 p) {
    if (vv_stream(vm, fd)) return VV_ESPIPE;
    if (!vv_writable(vm, p, 8)) return VV_EFAULT;
    if (!vv_file_node(vm, fd)) return VV_EBADF;
    vv_st64(vm->mem, p, vv_w64(vm->head, VV_POSITION(fd)));
    return 0;
}
/* Reads at a place; with `moves` where the descriptor stands, which then moves. */
VV_HELPER u32 vv_files_read(VM *vm, u32 fd, u32 iovs, u32 count, u64 at, u32 moves, u32 result) {
    if (!vv_writable(vm, result, 4)) return VV_EFAULT;
    u32 node = vv_file_node(vm, fd), left = 0, total = 0, p, n;
    vv_gp from = vm->files;
    if (node) {
        if (moves) at = vv_w64(vm->head, VV_POSITION(fd));
        u32 length = vv_field(vm, node, VV_NODE_LENGTH);
        if (at < length) {
            left = length - (u32)at;
            from += vv_field(vm, node, VV_NODE_AT) + (u32)at;
        }
    }
    u64 asked = 0;
    for (u32 i = 0; i < count; i++) {
        if (!vv_buffer(vm, iovs, i, &p, &n)) {
            if (!asked) return VV_EFAULT;
            break;
        }
        asked += n;
        if (n > left) n = left;
        (void)vv_writable(vm, p, n);
        if (vv_must_end(vm, vv_copy_in(vm, vm->mem, p, from, n))) return 0;
        from += n;
        left -= n;
        total += n;
    }
    if (!node) return VV_EBADF;
    if (asked && (at >> 63 || (at + asked) >> 63)) return VV_EINVAL; /* as where the system reads */
    if (moves) vv_sw64(vm->head, VV_POSITION(fd), at + total);
    vv_st32(vm->mem, result, total);
    return 0;
}
#ifdef VV_HAS_fd_read
VV_HELPER u32 vv_files_fd_read(VM *vm, u32 fd, u32 iovs, u32 count, u32 result) {
    return vv_stream(vm, fd) ? vv_fd_read(vm, fd, iovs, count, result) : vv_files_read(vm, fd, iovs, count, 0, 1, result);
}
#endif
VV_HELPER u32 vv_files_fd_pread(VM *vm, u32 fd, u32 iovs, u32 count, u64 at, u32 result) {
    if (vv_stream(vm, fd)) return vv_fd_pread(vm, fd, iovs, count, at, result);
    return vv_files_read(vm, fd, iovs, count, at, 0, result);
}
/* As many bytes of entries as there is room for, the last one perhaps in part. The first two are the folder itself and the
   one above, which counts as the same. */
VV_HELPER u32 vv_files_fd_readdir(VM *vm, u32 fd, u32 p, u32 room, u64 cookie, u32 result) {
    if (!vv_writable(vm, p, room) || !vv_writable(vm, result, 4)) return VV_EFAULT;
    u32 folder = vv_folder_node(vm, fd), used = 0;
    if (!folder) return VV_EBADF;
    u32 count = vv_field(vm, folder, VV_NODE_LENGTH) + 2;
    for (; cookie < count && used < room; cookie++) {
        if (vv_must_end(vm, vv_charge(vm, 24))) return 0;
        u32 node = folder, name = 0, length = (u32)cookie + 1;
        if (cookie >= 2) {
            u32 entry = vv_field(vm, folder, VV_NODE_AT) + ((u32)cookie - 2) * VV_ENTRY;
            name = vv_ro32(vm->files, entry);
            length = vv_ro32(vm->files, entry + 4);
            node = vv_ro32(vm->files, entry + 8);
        }
        u64 head[3];
        head[0] = cookie + 1;
        head[1] = vv_field64(vm, node, VV_NODE_INODE);
        head[2] = length | (u64)vv_field(vm, node, VV_NODE_KIND) << 32;
        for (u32 i = 0; i < 24 && used < room; i++) vv_st8(vm->mem, p + used++, (u32)(head[i >> 3] >> (i & 7) * 8) & 255);
        if (length > room - used) length = room - used;
        if (name) {
            if (vv_must_end(vm, vv_copy_in(vm, vm->mem, p + used, vm->files + name, length))) return 0;
        } else {
            for (u32 i = 0; i < length; i++) vv_st8(vm->mem, p + used + i, '.');
        }
        used += length;
    }
    vv_st32(vm->mem, result, used);
    return 0;
}

/* What changes nothing, or nothing that a guest sees. */
VV_HELPER u32 vv_files_fd_sync(VM *vm, u32 fd) { return vv_file_node(vm, fd) ? 0 : VV_EBADF; }
#define vv_files_fd_datasync vv_files_fd_sync
#define vv_files_fd_advise(vm, fd, offset, length, advice) ((advice) > 5 ? VV_EINVAL : vv_files_fd_sync(vm, fd))
#define vv_files_fd_allocate(vm, fd, offset, length) (vv_file_node(vm, fd) ? VV_ENOTSUP : VV_EBADF)
#define vv_files_fd_fdstat_set_rights(vm, fd, own, inherited) (vv_descriptor(vm, fd) ? VV_ENOTSUP : VV_EBADF)
#define vv_files_sock_accept(vm, fd, flags, p) vv_files_sock(vm, fd)
#define vv_files_sock_recv(vm, fd, iovs, n, flags, p, q) vv_files_sock(vm, fd)
#define vv_files_sock_send(vm, fd, iovs, n, flags, p) vv_files_sock(vm, fd)
#define vv_files_sock_shutdown(vm, fd, how) vv_files_sock(vm, fd)
VV_HELPER u32 vv_files_sock(VM *vm, u32 fd) { return vv_stream(vm, fd) || vv_descriptor(vm, fd) ? VV_ENOTSOCK : VV_EBADF; }
/* What would change a file or folder. */
#define vv_files_fd_write vv_fd_write
#define vv_files_fd_pwrite vv_fd_pwrite
#define vv_files_fd_filestat_set_size(vm, fd, size) (vv_file_node(vm, fd) ? VV_EPERM : VV_EBADF)
VV_HELPER u32 vv_files_fd_filestat_set_times(VM *vm, u32 fd, u64 accessed, u64 modified, u32 flags) {
    if (vv_stream(vm, fd)) return VV_BAD_TIMES(flags);
    if (flags > 15 || VV_BAD_TIMES(flags) == VV_EINVAL) return VV_EINVAL;
    return vv_descriptor(vm, fd) ? VV_EPERM : VV_EBADF;
}
VV_HELPER u32 vv_no_path(VM *vm, u32 fd, u32 p, u32 n) {
    if (!vv_in_bounds(vm, p, n)) return VV_EFAULT;
    if (!vv_folder_node(vm, fd)) return VV_EBADF;
    u32 bad = vv_path(vm, p, n);
    return bad && bad != VV_EINVAL ? bad : VV_EPERM;
}
VV_HELPER u32 vv_no_paths(VM *vm, u32 from, u32 p, u32 n, u32 to, u32 q, u32 m) {
    if (!vv_in_bounds(vm, p, n) || !vv_in_bounds(vm, q, m)) return VV_EFAULT;
    if (!vv_folder_node(vm, from)) return VV_EBADF;
    u32 bad = vv_no_path(vm, to, q, m);
    if (bad != VV_EPERM) return bad;
    return vv_no_path(vm, from, p, n);
}
#define vv_files_path_create_directory vv_no_path
#define vv_files_path_remove_directory vv_no_path
#define vv_files_path_unlink_file vv_no_path
#define vv_files_path_rename vv_no_paths
#define vv_files_path_symlink(vm, p, n, fd, q, m) vv_no_paths(vm, fd, p, n, fd, q, m)
#define vv_files_path_link(vm, from, look, p, n, to, q, m) ((look) > 1 ? VV_EINVAL : vv_no_paths(vm, from, p, n, to, q, m))
VV_HELPER u32 vv_files_path_filestat_set_times(VM *vm, u32 fd, u32 look, u32 p, u32 n, u64 accessed, u64 modified, u32 flags) {
    if (vv_stream(vm, fd)) return VV_BAD_TIMES(flags);
    if (!vv_in_bounds(vm, p, n)) return VV_EFAULT;
    if (flags > 15 || VV_BAD_TIMES(flags) == VV_EINVAL || look > 1) return VV_EINVAL;
    return vv_no_path(vm, fd, p, n);
}
