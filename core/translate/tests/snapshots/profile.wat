;; A program that is profiled counts where a function begins and where a loop turns; in states behind what may end the VM,
;; since it may go on there.
;;! profile
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory 1 1)
  (func $sum (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (export "run") (param i32)
    (loop $again
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br_if $again (call $sum (local.get 0))))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn1(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 st6(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* run state 0 */
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(2u, 118u, return VV_HALT)
;;=   vv_visit(vm, 2u);
;;=   vm->fuel = fuel;
;;=   return 5u;
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* run state 1 */
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* run state 2 */
;;=   u32 v3, v4, v5, v6;
;;=   u32 fuel = vm->fuel;
;;=   VV_COUNT(vm, framed);
;;=   VV_EDGE(2u, 119u, return VV_HALT)
;;=   vv_visit(vm, 3u);
;;=   v3 = 0u;
;;=   v4 = 0x40u;
;;=   v5 = 1u;
;;=   v6 = 0x80u;
;;=   vv_put(vm, 16u, (u64)(v3));
;;=   vv_put(vm, 24u, (u64)(v4));
;;=   vv_put(vm, 32u, (u64)(v5));
;;=   vv_put(vm, 40u, (u64)(v6));
;;=   vm->fuel = fuel;
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 2u, 131u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_ask_poll_oneoff(vm, v3, v4, v5, v6);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 131u); return VV_HALT; }
;;=   if (vm->error) return 6u;
;;=   vm->state = 6u;
;;=   vv_halt(vm, VV_CALL, 40u, 2u, 131u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st6(VM *vm) { /* run state 3 */
;;=   u32 v0, v1, v2, v3, v4, v5, v6;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v3 = (u32)(vv_get(vm, 16u));
;;=   v4 = (u32)(vv_get(vm, 24u));
;;=   v5 = (u32)(vv_get(vm, 32u));
;;=   v6 = (u32)(vv_get(vm, 40u));
;;=   v1 = vm->error ? vm->error & 0xffffu : vv_take_poll_oneoff(vm, v3, v4, v5, v6);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 131u); return VV_HALT; }
;;=   v2 = fn1(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   if (v2) {
;;=     return 5u;
;;=   }
;;=   return 4u;
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0) { /* sum */
;;=   u32 v1;
;;=   u32 fuel = vm->fuel;
;;=   vv_visit(vm, 0u);
;;=   v1 = 0u;
;;=   for (;;) {
;;=   VV_APART
;;=   for (;;) {
;;=     v1 = (v1 + v0);
;;=     v0 = (v0 - 1u);
;;=     if (v0) {
;;=       goto L1;
;;=     }
;;=     goto E1;
;;=     L1: ;
;;=     VV_COUNT(vm, direct);
;;=     vv_visit(vm, 1u);
;;=     if (VV_SPENT) break;
;;=   }
;;=   { VV_REFUEL(1u, 95u, return 0) }
;;=   }
;;=   E1: ;
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   case 4u: return st4(vm);
;;=   case 5u: return st5(vm);
;;=   case 6u: return st6(vm);
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
