;; Appends to a file of its own what its standard input, the clock and a random number say, and tells on standard output
;; what that was, and how long the file then is. Between two writes it does what the first letter of its input says:
;; what makes an input run again. Each thing that it does on the disk shows if it is done twice.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data $.rodata (i32.const 2048) "what all VMs share, 012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")
  (global $length (mut i32) (i32.const 0))
  (global $file (mut i32) (i32.const 0))
  ;; The input lies at 100; the clock and the random number at 200, the file's length behind them.
  (func $must (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func $put (param $fd i32) (param $at i32) (param $n i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $n))
    (call $must (call $write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func $is (param $letter i32) (result i32) (i32.eq (i32.load8_u (i32.const 100)) (local.get $letter)))
  (func $next (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $unaligned (drop (i64.load (i32.add (i32.const 1025) (global.get $file)))))
  (func $deep (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (i32.add (call $deep (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
      (else (i32.const 0))))
  (func $sleep (param $nanoseconds i64)
    (i32.store (i32.const 304) (i32.const 0))
    (i32.store (i32.const 312) (i32.const 1))
    (i64.store (i32.const 320) (local.get $nanoseconds))
    (i32.store16 (i32.const 336) (i32.const 0))
    (call $must (call $poll (i32.const 296) (i32.const 400) (i32.const 1) (i32.const 32))))
  (func $act (local $i i32)
    ;; u: an unaligned access. U: two of them, with a write between.
    (if (call $is (i32.const 117)) (then (call $unaligned)))
    (if (call $is (i32.const 85)) (then (call $unaligned) (call $put (global.get $file) (i32.const 2048) (i32.const 4)) (call $unaligned)))
    ;; m: 3 MiB more memory, then 3 MiB more.
    (if (call $is (i32.const 109)) (then
      (if (i32.eq (memory.grow (i32.const 48)) (i32.const -1)) (then unreachable))
      (i32.store (i32.const 3200000) (i32.const 1))
      (call $put (global.get $file) (i32.const 2048) (i32.const 4))
      (if (i32.eq (memory.grow (i32.const 48)) (i32.const -1)) (then unreachable))
      (i32.store (i32.const 6300000) (i32.const 1))))
    ;; t: a trap.
    (if (call $is (i32.const 116)) (then (drop (i32.load (i32.const 0x7ffffff0)))))
    ;; o: output that is flushed, then an unaligned access.
    (if (call $is (i32.const 111)) (then
      (loop $more
        (call $put (i32.const 1) (i32.const 2048) (i32.const 40000))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 16))))
      (call $unaligned)))
    ;; s: a sleep, then an unaligned access. z: a sleep, then much work. e: work without end.
    (if (call $is (i32.const 115)) (then (call $sleep (i64.const 20000000)) (call $unaligned)))
    (if (call $is (i32.const 122)) (then
      (call $sleep (i64.const 10000000))
      (loop $spin
        (local.set $i (call $next (call $next (local.get $i))))
        (br_if $spin (i32.lt_u (local.get $i) (i32.const 600000000))))))
    (if (call $is (i32.const 101)) (then (loop $ever (br $ever))))
    ;; r: deep recursion.
    (if (call $is (i32.const 114)) (then (drop (call $deep (i32.const 20000)))))
    ;; d: a store into shared data.
    (if (call $is (i32.const 100)) (then (i64.store (i32.add (i32.const 2040) (i32.shl (global.get $file) (i32.const 1))) (i64.const -1))))
    ;; l: a long log: 20 MB from a folder of its own, then 3 MiB more memory and an unaligned access.
    (if (call $is (i32.const 108)) (then
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (call $must (call $seek (global.get $file) (i64.const 1000000) (i32.const 0) (i32.const 216)))
      (loop $more
        (call $must (call $seek (global.get $file) (i64.const 0) (i32.const 0) (i32.const 216)))
        (i32.store (i32.const 16) (i32.const 65536))
        (i32.store (i32.const 20) (i32.const 1000000))
        (call $must (call $read (global.get $file) (i32.const 16) (i32.const 1) (i32.const 24)))
        (local.set $i (i32.add (local.get $i) (i32.load (i32.const 24))))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 20000000))))
      (if (i32.eq (memory.grow (i32.const 48)) (i32.const -1)) (then unreachable))
      (i32.store (i32.const 4200000) (i32.const 1))
      (call $unaligned))))
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 90))
    (call $must (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (global.set $length (i32.load (i32.const 8)))
    ;; In the first folder: create, to append; rights to read, seek and write.
    (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 100) (global.get $length) (i32.const 1)
      (i64.const 0x46) (i64.const 0) (i32.const 1) (i32.const 12)))
    (global.set $file (i32.load (i32.const 12)))
    (call $put (global.get $file) (i32.const 100) (global.get $length))
    (call $must (call $clock (i32.const 0) (i64.const 0) (i32.const 200)))
    (call $must (call $random (i32.const 208) (i32.const 8)))
    (call $put (global.get $file) (i32.const 200) (i32.const 16))
    (if (i32.gt_u (i32.load8_u offset=2048 (i32.and (i32.load8_u (i32.const 208)) (i32.const 127))) (i32.const 200)) (then unreachable))
    (call $act)
    (call $put (global.get $file) (i32.const 100) (global.get $length))
    ;; A folder whose name begins with a capital D, and a new name for the file, which begins with an F.
    (i32.store8 (i32.const 99) (i32.const 68))
    (call $must (call $mkdir (i32.const 3) (i32.const 99) (i32.add (global.get $length) (i32.const 1))))
    (i32.store8 (i32.const 99) (i32.const 70))
    (call $must (call $rename (i32.const 3) (i32.const 100) (global.get $length)
      (i32.const 3) (i32.const 99) (i32.add (global.get $length) (i32.const 1))))
    (call $must (call $seek (global.get $file) (i64.const 0) (i32.const 2) (i32.const 216)))
    (call $put (i32.const 1) (i32.const 200) (i32.const 24))))
