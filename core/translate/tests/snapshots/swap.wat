;;! ir
;; Loop parameters that change places go through temporaries.
(module
  (func (export "f") (param i32) (result i32)
    (i32.const 1) (i32.const 2)
    (loop $l (param i32 i32) (result i32)
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (local.set 0 (local.get 0))
      (br_if $l (local.get 0))
      (i32.sub))))

;;= memory 0..0 grows=false
;;=
;;= function 0 "f" [I32] -> [I32] frame=0
;;=   v2 = set (I32:0x1)
;;=   v3 = set (I32:0x2)
;;=   loop L1
;;=     v0 = set (I32Sub(v0, I32:0x1))
;;=     v0 = set (v0)
;;=     if v0
;;=       v4 = set (v2)
;;=       v5 = set (v3)
;;=       v2 = set (v4)
;;=       v3 = set (v5)
;;=       branch L1
;;=     v1 = set (I32Sub(v2, v3))
;;=   return (v1)
