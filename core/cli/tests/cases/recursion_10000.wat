;; A third of the VMs needs about 240 KB of frames, more than a VM begins with; their inputs run again with more.
;;! invoke: f
;;! args: 0..33
;;! value: {n}
(module
  (func $r (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $r (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "f") (param $n i32) (result i32) (local $depth i32)
    (local.set $depth
      (select (i32.const 10) (i32.const 10000) (i32.rem_u (local.get $n) (i32.const 3))))
    (i32.add (local.get $n) (i32.sub (call $r (local.get $depth)) (local.get $depth)))))
