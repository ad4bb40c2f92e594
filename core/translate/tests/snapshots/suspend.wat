;; A remote call cuts its callers into states: what lives across it goes through the frame.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory 1 1)
  (func $wait (param i32) (result i32)
    (i32.add (local.get 0) (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func (export "run") (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (call $wait (local.get 1))))
      (br_if $again (i32.lt_u (local.get 1) (local.get 0))))
    (local.get 1)))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 st6(VM *vm);
;;= VV_SMALL u32 st7(VM *vm);
;;= VV_SMALL u32 st8(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* wait state 0 */
;;=   u32 v2, v3, v4, v5;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(1u, 88u, return VV_HALT)
;;=   v2 = 0u;
;;=   v3 = 0x40u;
;;=   v4 = 1u;
;;=   v5 = 0x80u;
;;=   vv_put(vm, 16u, (u64)(v2));
;;=   vv_put(vm, 24u, (u64)(v3));
;;=   vv_put(vm, 32u, (u64)(v4));
;;=   vv_put(vm, 40u, (u64)(v5));
;;=   vm->fuel = fuel;
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 1u, 101u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_ask_poll_oneoff(vm, v2, v3, v4, v5);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 1u, 101u); return VV_HALT; }
;;=   if (vm->error) return 4u;
;;=   vm->state = 4u;
;;=   vv_halt(vm, VV_CALL, 40u, 1u, 101u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* wait state 1 */
;;=   u32 v0, v1, v2, v3, v4, v5;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v2 = (u32)(vv_get(vm, 16u));
;;=   v3 = (u32)(vv_get(vm, 24u));
;;=   v4 = (u32)(vv_get(vm, 32u));
;;=   v5 = (u32)(vv_get(vm, 40u));
;;=   v1 = vm->error ? vm->error & 0xffffu : vv_take_poll_oneoff(vm, v2, v3, v4, v5);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 1u, 101u); return VV_HALT; }
;;=   vv_put(vm, 8u, (u64)((v0 + v1)));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* run state 0 */
;;=   u32 v1;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(2u, 106u, return VV_HALT)
;;=   v1 = 0u;
;;=   vv_put(vm, 16u, (u64)(v1));
;;=   vm->fuel = fuel;
;;=   return 7u;
;;= }
;;= VV_SMALL u32 st6(VM *vm) { /* run state 1 */
;;=   u32 v1;
;;=   v1 = (u32)(vv_get(vm, 16u));
;;=   vv_put(vm, 8u, (u64)(v1));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st7(VM *vm) { /* run state 2 */
;;=   u32 v1;
;;=   u32 fuel = vm->fuel;
;;=   v1 = (u32)(vv_get(vm, 16u));
;;=   VV_COUNT(vm, framed);
;;=   VV_EDGE(2u, 109u, return VV_HALT)
;;=   vm->fuel = fuel;
;;=   {
;;=     vv_put(vm, 24u, 8u);
;;=     vv_put(vm, 32u, (u64)(v1));
;;=     vm->fp += 24u;
;;=     return 3u;
;;=   }
;;= }
;;= VV_SMALL u32 st8(VM *vm) { /* run state 3 */
;;=   u32 v0, v1, v2;
;;=   v2 = (u32)(vv_get(vm, 8u));
;;=   vm->fp -= 24u;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v1 = (u32)(vv_get(vm, 16u));
;;=   v1 = (v1 + v2);
;;=   if ((u32)(v1 < v0)) {
;;=     vv_put(vm, 16u, (u64)(v1));
;;=     return 7u;
;;=   }
;;=   vv_put(vm, 16u, (u64)(v1));
;;=   return 6u;
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
;;=   case 7u: return st7(vm);
;;=   case 8u: return st8(vm);
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
