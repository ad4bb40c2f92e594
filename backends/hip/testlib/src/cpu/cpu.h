/* Precedes HIP's text for a C++ compiler. Threads run one after another, which kernels without barriers allow. */
struct vv_place { unsigned group, item, size; };
static thread_local vv_place vv_here;
#define address_space(n)
#define amdgpu_flat_work_group_size(...)
#define __builtin_amdgcn_workgroup_id_x() vv_here.group
#define __builtin_amdgcn_workitem_id_x() vv_here.item
#define __builtin_amdgcn_workgroup_size_x() vv_here.size
#define __builtin_amdgcn_is_private(p) 1
#define __builtin_amdgcn_readfirstlane(v) (v)
#define __builtin_assume(x)
typedef void *vv_any;
/* Every kernel is called with 12 arguments; the calling convention lets one that takes fewer ignore the rest. */
typedef void (*vv_kernel)(vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any, vv_any);
extern "C" void hip_test_run(vv_kernel kernel, const vv_any *a, unsigned from, unsigned to, unsigned lanes) {
    vv_here.size = lanes;
    for (vv_here.group = from; vv_here.group < to; vv_here.group++)
        for (vv_here.item = 0; vv_here.item < lanes; vv_here.item++)
            kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
}
#line 1 "vectorvisor"
