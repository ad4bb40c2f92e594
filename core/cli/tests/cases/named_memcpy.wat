;; Functions that are called as the C library's, have their signatures, and do something else: each keeps its own meaning.
;;! invoke: f
;;! value: 7, 168430090, 84148994, 16909060, 2314885530818453536, 9, 0, 255
(module
  (memory 1)
  ;; A byte loop: where ranges overlap it replicates.
  (func $bytes (@name "memcpy") (param $to i32) (param $from i32) (param $n i32) (result i32) (local $d i32)
    (local.set $d (local.get $to))
    (block $done
      (br_if $done (i32.eqz (local.get $n)))
      (loop $l
        (i32.store8 (local.get $d) (i32.load8_u (local.get $from)))
        (local.set $d (i32.add (local.get $d) (i32.const 1)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (local.get $to))
  ;; Counts words.
  (func $words (@name "memmove") (param $to i32) (param $from i32) (param $n i32) (result i32) (local $d i32)
    (local.set $d (local.get $to))
    (block $done
      (br_if $done (i32.eqz (local.get $n)))
      (loop $l
        (i32.store (local.get $d) (i32.load (local.get $from)))
        (local.set $d (i32.add (local.get $d) (i32.const 4)))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (local.get $to))
  ;; Swaps the bytes of each word.
  (func $swaps (@name "memcpy") (param $to i32) (param $from i32) (param $n i32) (result i32) (local $i i32)
    (loop $l
      (i32.store8 (i32.add (local.get $to) (local.get $i))
        (i32.load8_u (i32.add (local.get $from) (i32.xor (local.get $i) (i32.const 3)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $to))
  ;; Stores half of the value.
  (func $sets (@name "memset") (param $to i32) (param $value i32) (param $n i32) (result i32)
    (loop $l
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (i32.store8 (i32.add (local.get $to) (local.get $n)) (i32.shr_u (local.get $value) (i32.const 1)))
      (br_if $l (local.get $n)))
    (local.get $to))
  ;; Does something else for one length only.
  (func $special (@name "memcpy") (param $to i32) (param $from i32) (param $n i32) (result i32) (local $i i32)
    (loop $l
      (i32.store8 (i32.add (local.get $to) (local.get $i))
        (select (i32.const 0) (i32.load8_u (i32.add (local.get $from) (local.get $i))) (i32.eq (local.get $n) (i32.const 1021))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $to))
  (func (export "f") (result i32 i32 i32 i32 i64 i32 i32 i32)
    (i32.store8 (i32.const 15) (i32.const 7))
    (drop (call $bytes (i32.const 16) (i32.const 15) (i32.const 64)))
    (i32.load8_u (i32.const 40))
    (i32.store (i32.const 1036) (i32.const 0x0a0a0a0a))
    (drop (call $words (i32.const 2000) (i32.const 1024) (i32.const 4)))
    (i32.load (i32.const 2012))
    (i32.store (i32.const 1100) (i32.const 0x02030405))
    (i32.store (i32.const 1104) (i32.const 0x04030201))
    (drop (call $swaps (i32.const 2100) (i32.const 1100) (i32.const 8)))
    (i32.load (i32.const 2100))
    (i32.load (i32.const 2104))
    (drop (call $sets (i32.const 2200) (i32.const 0x40) (i32.const 16)))
    (i64.load (i32.const 2208))
    (i32.store8 (i32.const 4000) (i32.const 9))
    (drop (call $special (i32.const 6000) (i32.const 4000) (i32.const 1020)))
    (i32.load8_u (i32.const 6000))
    (drop (call $special (i32.const 6000) (i32.const 4000) (i32.const 1021)))
    (i32.load8_u (i32.const 6000))
    (i32.store8 (i32.const 8000) (i32.const 255))
    (drop (call $special (i32.const 9000) (i32.const 8000) (i32.const 1022)))
    (i32.load8_u (i32.const 9000))))
