# ax.mk: the pipeline of ax as make targets. Include it in a Makefile of your own:
#
#	AX_CONFIG := run.yaml
#	AX_NP     := 2
#	include /usr/local/share/ax/ax.mk
#
#	model: ax-model
#
# Targets	ax-tokens  ax-packs  ax-shards  ax-train  ax-model	(each does what comes before it, if needed)
# Files	dataset_prepared_path/{train.axt,train.axp,shards/}, output_dir/checkpoint-N/, output_dir/merged/
#
# A stage runs again when its input, or a key of the configuration that it reads, has changed: each depends on a stamp
# that holds only its own keys and options. Training is resumed if it was interrupted, and started afresh if its settings or data
# have changed since it began.
#
# Variables (all may be set before the include):
AX_CONFIG         ?= run.yaml
# files that the token stream depends on beside the configuration, e.g. the dataset
AX_DATA           ?=
# where the tools are, with a slash at the end; empty: on the PATH
AX_BIN            ?=
# ranks, and how they are started when there is more than one
AX_NP             ?= 1
AX_MPIRUN         ?= mpirun --oversubscribe --bind-to none
# options: for every tool (keys and what all tools have), then for one; no two configurations may share a
# dataset_prepared_path or output_dir, and neither may hold a space
AX_FLAGS          ?=
AX_TOKENIZE_FLAGS ?=
AX_PACK_FLAGS     ?=
AX_SHARD_FLAGS    ?=
AX_TRAIN_FLAGS    ?=
AX_MERGE_FLAGS    ?=

ax_goal_     := $(.DEFAULT_GOAL)
ax_key_       = $(or $(shell $(AX_BIN)ax-train -c $(AX_CONFIG) $(AX_FLAGS) $(AX_TRAIN_FLAGS) -q --get $(1) 2>/dev/null),$(2))
AX_PREPARED  := $(call ax_key_,dataset_prepared_path,last_run_prepared)
AX_OUT       := $(call ax_key_,output_dir,./model-out)
ax_one_word_  = $(if $(word 2,$($(1))),$(error ax.mk: $(1) is "$($(1))": make knows no file names with spaces))
$(foreach v,AX_CONFIG AX_PREPARED AX_OUT,$(call ax_one_word_,$(v)))
ax_launch_   := $(if $(filter-out 1,$(AX_NP)),$(AX_MPIRUN) -n $(AX_NP))

.PHONY: ax-tokens ax-packs ax-shards ax-train ax-model ax-force_
ax-tokens: $(AX_PREPARED)/train.axt
ax-packs: $(AX_PREPARED)/train.axp
ax-shards: $(AX_PREPARED)/shards/index.axi
ax-train: $(AX_OUT)/.ax-trained
ax-model: $(AX_OUT)/merged/config.json

ax-force_:

# The keys of one tool and its options, written only if they have changed. Of training's options only the keys count: it
# shall not start afresh for another number of threads.
ax_tokenize_flags_ = $(AX_TOKENIZE_FLAGS)
ax_pack_flags_     = $(AX_PACK_FLAGS)
ax_shard_flags_    = $(AX_SHARD_FLAGS)
ax_merge_flags_    = $(AX_MERGE_FLAGS)

$(AX_PREPARED)/.ax-%.keys: ax-force_
	@mkdir -p $(@D)
	@{ $(AX_BIN)ax-$* -c $(AX_CONFIG) $(AX_FLAGS) $(if $(filter train,$*),$(AX_TRAIN_FLAGS)) --print-config --for $* -q && \
	printf '# %s\n' '$(subst ','\'',$(ax_$*_flags_))'; } > $@.new && \
	if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(AX_PREPARED)/train.axt: $(AX_PREPARED)/.ax-tokenize.keys $(AX_DATA)
	$(AX_BIN)ax-tokenize -c $(AX_CONFIG) $(AX_FLAGS) $(AX_TOKENIZE_FLAGS) -o $@

$(AX_PREPARED)/train.axp: $(AX_PREPARED)/train.axt $(AX_PREPARED)/.ax-pack.keys
	$(AX_BIN)ax-pack -c $(AX_CONFIG) $(AX_FLAGS) $(AX_PACK_FLAGS) -o $@ $<

$(AX_PREPARED)/shards/index.axi: $(AX_PREPARED)/train.axp $(AX_PREPARED)/.ax-shard.keys
	$(AX_BIN)ax-shard -c $(AX_CONFIG) $(AX_FLAGS) $(AX_SHARD_FLAGS) -o $(@D) $<

# Is this the run that was begun with these settings and data? Then go on with it; otherwise start afresh.
$(AX_OUT)/.ax-trained: $(AX_PREPARED)/shards/index.axi $(AX_PREPARED)/.ax-train.keys
	@mkdir -p $(@D)
	@cat $(AX_PREPARED)/shards/index.axi $(AX_PREPARED)/.ax-train.keys | cksum > $(@D)/.ax-run.new
	@if cmp -s $(@D)/.ax-run.new $(@D)/.ax-run; then how='--resume-from-checkpoint auto'; else how=--overwrite; fi; \
	mv $(@D)/.ax-run.new $(@D)/.ax-run; \
	set -x; $(ax_launch_) $(AX_BIN)ax-train -c $(AX_CONFIG) $(AX_FLAGS) $(AX_TRAIN_FLAGS) $$how $(AX_PREPARED)/shards
	@touch $@

$(AX_OUT)/merged/config.json: $(AX_OUT)/.ax-trained $(AX_PREPARED)/.ax-merge.keys
	$(AX_BIN)ax-merge $(AX_MERGE_FLAGS) $(AX_OUT) $(AX_OUT)/merged
	@touch $@

.DEFAULT_GOAL := $(ax_goal_)
