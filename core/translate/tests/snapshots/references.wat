;;! ir
;; Addresses in the frame on the guest's own stack, by way of a variable each: one check covers both, and that what is
;; loaded does not overlap what is stored needs no test. In the loop the second one moves away, so nothing is known of it.
(module
  (memory 1)
  (global $stack (mut i32) (i32.const 65536))
  (func (export "f") (param $n i32) (result i32)
    (local $frame i32) (local $from i32) (local $to i32) (local $sum i32)
    (local.set $frame (i32.sub (global.get $stack) (i32.const 64)))
    (local.set $from (i32.add (local.get $frame) (i32.const 16)))
    (local.set $to (i32.add (i32.add (local.get $frame) (i32.const 8)) (i32.const 24)))
    (i32.store (local.get $to) (i32.load (local.get $from)))
    (i32.store offset=4 (local.get $to) (i32.load offset=4 (local.get $from)))
    (loop $again
      (i32.store (local.get $to) (i32.load (local.get $from)))
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $from))))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))

;;= memory 65536..65536 grows=false
;;=
;;= function 0 "f" [I32] -> [I32] frame=0
;;=   v1 = set (I32:0x0)
;;=   v2 = set (I32:0x0)
;;=   v3 = set (I32:0x0)
;;=   v4 = set (I32:0x0)
;;=   v5 = getglobal g0 ()
;;=   v1 = set (I32Sub(v5, I32:0x40))
;;=   v2 = set (I32Add(v1, I32:0x10))
;;=   v3 = set (I32Add(I32Add(v1, I32:0x8), I32:0x18))
;;=   v10 = check +0..24 align 1+0 (I32Add(v5, I32:0xffffffd0))
;;=   v7 = load I32Load +4 align 1 checked (v10)
;;=   v6 = load I32Load +0 align 1 checked (v10)
;;=   store I32Store +16 align 1 checked (v10, v6)
;;=   store I32Store +20 align 1 checked (v10, v7)
;;=   loop L1
;;=     v8 = load I32Load +0 align 1 checked (v10)
;;=     v11 = check +0..4 align 1+0 (v3)
;;=     v12 = set (I32Or(I32LtU(I32Sub(I32Add(v10, I32:0x0), I32Add(v11, I32:0x0)), I32:0x4), I32LtU(I32Sub(I32Add(v11, I32:0x0), I32Add(v10, I32:0x0)), I32:0x18)))
;;=     v9 = load I32Load +4 align 1 checked (v10)
;;=     store I32Store +0 align 1 checked (v11, v8)
;;=     if v12
;;=       v9 = load I32Load +4 align 1 checked (v10)
;;=     v4 = set (I32Add(v4, v9))
;;=     v3 = set (I32Add(v3, I32:0x4))
;;=     v0 = set (I32Sub(v0, I32:0x1))
;;=     if v0
;;=       branch L1
;;=   return (v4)
