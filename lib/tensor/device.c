#include "tensor/device.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/plugin.h"
#include "tensor/gpu.h"

#define PLUGIN_FILE "libax-cuda.so"

/* What was found of the plugin. */
enum found { MISSING, BROKEN, GOOD };

static int cuda_open(struct ax_dev *d, const struct ax_dev_opt *o, enum found *found, struct ax_err *e)
{
	const struct ax_dev_plugin *p;
	struct ax_plugin so;
	struct ax_err no = { 0 };
	int rc = ax_plugin_open(&so, o->plugin_dir, PLUGIN_FILE, AX_DEV_PLUGIN_SYMBOL, false, &no);

	*found = rc && so.missing ? MISSING : BROKEN;
	if (*found == MISSING)
		return ax_fail(e, AX_ECOMM, "this build has no CUDA plugin (%s); make cuda builds it", so.path);
	if (rc)
		return ax_fail(e, AX_ECOMM, "the CUDA plugin cannot be opened: %s%s", no.msg,
			       strstr(no.msg, "cannot open shared object") ? " (a library of CUDA's that the plugin needs: LD_LIBRARY_PATH)" : "");
	p = so.symbol;
	if (strcmp(p->version, AX_VERSION) || p->wall != AX_DEV_WALL || p->dev_bytes != sizeof(*d) || p->ops_bytes != sizeof(*d->ops))
		return ax_fail(e, AX_ECOMM, "%s is of another build (version %s/%08x, this is %s/%08x): install both from one",
			       so.path, p->version, p->wall, AX_VERSION, AX_DEV_WALL);
	*found = GOOD;
	return p->open(d, o, e);
}

static int open_any(struct ax_dev *d, const struct ax_dev_opt *o, char why[256], struct ax_err *e)
{
	const char *name = o->device ? o->device : "auto";
	bool cpu = !strcmp(name, "cpu"), cuda = !strcmp(name, "cuda");
	enum found found;
	struct ax_err no = { 0 };

	why[0] = '\0';
	memset(d, 0, sizeof(*d));
	if (!cpu && !cuda && strcmp(name, "auto"))
		return ax_fail(e, AX_EUSAGE, "unknown device %s (auto, cpu, cuda)", name);
	if (cuda && o->plan) { /* "auto" asks what is here, also for a plan */
		if (!cuda_open(d, o, &found, &no))
			return 0;
		if (found == BROKEN)
			ax_warn("%s", no.msg);
		return ax_gpu_plan_open(d, o->act, o->plan_memory, e);
	}
	if (cuda)
		return cuda_open(d, o, &found, e);
	if (!cpu) {
		if (!cuda_open(d, o, &found, &no))
			return 0;
		if (found == BROKEN)
			ax_warn("%s: using the CPU", no.msg);
		if (found == GOOD)
			snprintf(why, 256, "%.200s: using the CPU", no.msg);
	}
	return ax_cpu_open(d, o->act, o->n_thread, 0, e);
}

int ax_dev_open(struct ax_dev *d, const struct ax_dev_opt *o, char why[256], struct ax_err *e)
{
	AX_TRY(open_any(d, o, why, e));
	d->grad = o->grad;
	if (o->grad == AX_F32 || (o->grad == AX_BF16 && o->act == AX_BF16))
		return 0;
	ax_dev_close(d);
	return ax_fail(e, AX_EUSAGE, "gradients in %s do not go with computing in %s", ax_dtype_name(o->grad), ax_dtype_name(o->act));
}

void ax_dev_close(struct ax_dev *d)
{
	if (d->close)
		d->close(d);
	memset(d, 0, sizeof(*d));
}

int ax_dev_wire(struct ax_dev *d, struct ax_comm *host, struct ax_comm **wire, struct ax_err *e)
{
	*wire = host;
	return d->wire ? d->wire(d, host, wire, e) : 0;
}
