;;! ir
;; Entries of the operand stack are evaluated before a local that they read changes.
(module
  (func (export "f") (param i32) (result i32)
    (local.get 0)
    (local.set 0 (i32.const 5))
    (i32.sub (local.get 0))))

;;= memory 0..0 grows=false
;;=
;;= function 0 "f" [I32] -> [I32] frame=0
;;=   v1 = set (v0)
;;=   v0 = set (I32:0x5)
;;=   return (I32Sub(v1, v0))
