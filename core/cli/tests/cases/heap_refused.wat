;; A guest that got no memory does not know of our limit, so a note beside its exit code names it; but not where the module itself
;; asks for more than there can be.
;;! exit: 3
;;! note: memory.grow was refused: a VM's memory grows to 16.0625 MiB at most; a larger --heap
;;! note-odd:
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $odd i32)
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 50))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $odd (i32.and (i32.const 1) (i32.load8_u (i32.add (i32.const 99) (i32.load (i32.const 8))))))
    (if (i32.eq (i32.const -1) (memory.grow (select (i32.const 70000) (i32.const 300) (local.get $odd))))
      (then (call $proc_exit (i32.const 3))))))
