;; `_initialize` grows the memory and reads, each VM for itself, then accesses just beyond: a trap for its input, at its exact place.
;;! stdin: {n}
;;! error: out of bounds memory access
;;! says: in `bad` (function 3), at wasm offset 0x
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (memory (export "memory") 1 3)
  (func $bad (param i32) (drop (i32.load (local.get 0))))
  (func (export "_initialize")
    (drop (call $args_get (i32.const 200) (i32.const 300)))
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 0) (i32.const 131071))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $bad (i32.add (i32.const 131024) (i32.load8_u (i32.const 131071)))))
  (func (export "_start") unreachable))
