/* Counts for `vectorvisor profile`. Each VM counts for itself, and of the lanes of a warp that are here together the first
   also counts a visit of the warp. A function where calls cost less than text: it is called at every loop and entry. */
#ifdef VV_BRANCHY
#define VV_VISIT_FN VV_INLINE
#else
#define VV_VISIT_FN VV_HELPER
#endif
VV_VISIT_FN void vv_visit(VM *vm, u32 point) {
    u64 leads = vv_leads();
    vm->visits++;
    vm->warp_visits += leads;
    vm->points[2 * point]++;
    vm->points[2 * point + 1] += leads;
}
