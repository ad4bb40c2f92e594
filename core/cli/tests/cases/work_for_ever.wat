;; Work of which one instruction or host call can do much: it is done right across the pieces in which it goes, and then charged, so that no VM
;; goes on for ever. What is not right traps as unreachable.
;;! options: --fuel 500000
;;! error: all fuel consumed
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (memory (export "memory") 16)
  (table $t 20000 funcref)
  (type $v (func (result i32)))
  (func $a (result i32) (i32.const 17))
  (elem $e func $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a)
  (data $d "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

  ;; Of the words below 300,000.
  (func $sum (result i32) (local $at i32) (local $sum i32)
    (loop $l
      (local.set $sum (i32.add (i32.rotl (local.get $sum) (i32.const 5)) (i32.load (local.get $at))))
      (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 300000))))
    (local.get $sum))

  (func $moved (export "moved") (result i32) (local $at i32)
    (loop $l
      (i32.store (local.get $at) (i32.mul (local.get $at) (i32.const 0x9e3779b1)))
      (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 200000))))
    (memory.copy (i32.const 70001) (i32.const 3) (i32.const 190001)) ;; up, over itself
    (memory.copy (i32.const 10) (i32.const 9) (i32.const 140000))
    (memory.copy (i32.const 1) (i32.const 66666) (i32.const 150003)) ;; down, over itself
    (memory.copy (i32.const 160000) (i32.const 159999) (i32.const 100000))
    (memory.fill (i32.const 151) (i32.const 0xabc) (i32.const 70007))
    (memory.init $d (i32.const 5) (i32.const 1) (i32.const 100))
    (call $sum))

  (func $tables (export "tables") (result i32)
    (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 16))
    (table.copy (i32.const 3) (i32.const 0) (i32.const 19997))
    (call_indirect (type $v) (i32.const 18)))

  ;; Does work of a kind, once or for ever; the output of kinds 13 and 14 would be too long for that. It calls no
  ;; function, since with --force-framed each call is a launch.
  (func $work (param $kind i32) (param $ever i32)
    (loop $again
    (block $done (block $15 (block $14 (block $13 (block $12 (block $11 (block $10 (block $9 (block $8 (block $7
    (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
      (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $12 $13 $14 $15 (local.get $kind)))
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000)) (br $done))
      (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xfffff)) (br $done))
      (memory.copy (i32.const 0) (i32.const 1) (i32.const 0xfffff)) (br $done))
      (memory.init $d (i32.const 0) (i32.const 0) (i32.const 100)) (br $done))
      (table.copy (i32.const 0) (i32.const 1) (i32.const 19999)) (br $done))
      (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 16)) (br $done))
      (drop (call $random_get (i32.const 0) (i32.const 0x100000))) (br $done))
      (drop (call $args_get (i32.const 0) (i32.const 1024))) (br $done))
      (drop (call $environ_get (i32.const 0) (i32.const 1024))) (br $done))
      (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 0x1fff0) (i32.const 0))) (br $done)) ;; many empty buffers
      (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 0x1fff0) (i32.const 0))) (br $done))
      (drop (memory.grow (i32.const 8))) (br $done))
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 100000))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) (br $done))
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 100000))
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $done))
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 100000))
      (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))))
      (br_if $again (local.get $ever))))
  (func (export "once") (param $kind i32) (call $work (local.get $kind) (i32.const 0)))
  (func (export "work") (param $kind i32) (call $work (local.get $kind) (i32.const 1)))

  (func (export "_start")
    (if (i32.ne (call $moved) (i32.const -965320653)) (then (unreachable)))
    (if (i32.ne (call $tables) (i32.const 17)) (then (unreachable)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100000))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 16))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    ;; "input n" or "input nn"
    (i32.sub (i32.load8_u (i32.const 22)) (i32.const 48))
    (if (result i32) (i32.load8_u (i32.const 23))
      (then (i32.add (i32.const 7) (i32.sub (i32.load8_u (i32.const 23)) (i32.const 48))))
      (else (i32.const 0)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 1024))
    (call $work (i32.rem_u (i32.add) (i32.const 13)) (i32.const 1))))
