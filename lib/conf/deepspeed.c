/* The stock DeepSpeed files that Axolotl configurations name, as settings: ax never runs DeepSpeed. */
#include <string.h>

#include "conf/inner.h"

#define AUTO                                                                                                           \
	"\"gradient_accumulation_steps\":\"auto\",\"gradient_clipping\":\"auto\",\"train_batch_size\":\"auto\","       \
	"\"train_micro_batch_size_per_gpu\":\"auto\",\"wall_clock_breakdown\":false"
#define HALF                                                                                                           \
	"\"bf16\":{\"enabled\":\"auto\"},\"fp16\":{\"enabled\":\"auto\",\"auto_cast\":false,\"loss_scale\":0,"         \
	"\"initial_scale_power\":32,\"loss_scale_window\":1000,\"hysteresis\":2,\"min_loss_scale\":1},"
#define BF16 "\"bf16\":{\"enabled\":true},"
#define COMPILE "\"compile\":{\"disable\":false,\"backend\":\"inductor\"},"
#define UNTESTED "\"zero_force_ds_cpu_optimizer\":false,\"zero_allow_untested_optimizer\":true,"
#define PINNED "{\"device\":\"cpu\",\"pin_memory\":true},"
#define ZERO1 "\"zero_optimization\":{\"stage\":1,\"overlap_comm\":true},"
#define ZERO2                                                                                                          \
	"\"zero_optimization\":{\"stage\":2,\"offload_optimizer\":{\"device\":\"cpu\"},"                               \
	"\"contiguous_gradients\":true,\"overlap_comm\":true},"
#define ZERO3(offload)                                                                                                 \
	"\"zero_optimization\":{\"stage\":3," offload "\"overlap_comm\":true,\"contiguous_gradients\":true,"           \
	"\"sub_group_size\":0,\"reduce_bucket_size\":\"auto\",\"stage3_prefetch_bucket_size\":\"auto\","               \
	"\"stage3_param_persistence_threshold\":\"auto\",\"max_live_parameters\":0,\"max_reuse_distance\":0,"          \
	"\"gather_16bit_weights_on_model_save\":true},"

static const struct {
	const char *name, *json;
} stock[] = {
	{"zero1.json", "{" ZERO1 HALF AUTO "}"},
	{"zero1_torch_compile.json", "{" ZERO1 HALF COMPILE AUTO "}"},
	{"zero2.json", "{" ZERO2 HALF AUTO "}"},
	{"zero2_torch_compile.json", "{" COMPILE ZERO2 HALF AUTO "}"},
	{"zero3.json", "{" ZERO3("") HALF AUTO "}"},
	{"zero3_bf16.json", "{" ZERO3("") BF16 AUTO "}"},
	{"zero3_bf16_cpuoffload_all.json",
	 "{" UNTESTED ZERO3("\"offload_optimizer\":" PINNED "\"offload_param\":" PINNED) BF16 AUTO "}"},
	{"zero3_bf16_cpuoffload_params.json", "{" UNTESTED ZERO3("\"offload_param\":" PINNED) BF16 AUTO "}"},
};

const char *ax_deepspeed_stock(const char *name)
{
	static const char folder[] = "deepspeed_configs/";

	if (strncmp(name, "./", 2) == 0)
		name += 2;
	if (strncmp(name, folder, sizeof(folder) - 1) == 0)
		name += sizeof(folder) - 1;
	for (size_t i = 0; i < sizeof(stock) / sizeof(*stock); i++)
		if (strcmp(name, stock[i].name) == 0)
			return stock[i].json;
	return NULL;
}
