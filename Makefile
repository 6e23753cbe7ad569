# ax: full-parameter LLM fine-tuning as Unix tools.
#   make            binaries and plugins into build/         make check      all tests that need no GPU and no network
#   make demo       the whole pipeline on a small example    make check-long slower suites
#   make bundle     a folder that runs elsewhere            make dist       a source archive
#   make install    into $(DESTDIR)$(PREFIX)                 make lint       include directions, sizes, man pages
#   make cuda       the CUDA plugin (needs nvcc)            make check-gpu  the tests that need one
#   make fuzz       sanitizers and libFuzzer (needs clang)
#   make bench-gpu  the GPU's speed beside PyTorch's
# One Makefile, no recursion; V=1 shows the commands. Settings and their meaning: config.mk.
include config.mk

VERSION := $(shell cat VERSION)
comma   := ,
B       := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(FUZZ),-fuzz)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# The walls between the program and its plugins: a checksum of the headers that both sides are compiled with.
DEV_WALL  := lib/base/err.h lib/tensor/ops.h lib/tensor/device.h lib/comm/comm.h
COMM_WALL := lib/base/err.h lib/comm/comm.h lib/comm/plugin.h
WALLS     := $(foreach w,DEV COMM,-DAX_$(w)_WALL=$(firstword $(shell cat $($(w)_WALL) | cksum))u)

WARN    := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter
CPPFLAGS += -Ilib -I$(B)/gen -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64 -DAX_VERSION='"$(VERSION)"' $(WALLS)
CFLAGS  ?= $(OPT) -g
override CFLAGS += -std=c11 -fPIC -fno-strict-aliasing -ffp-contract=off -fvisibility=hidden -pthread $(WARN) $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) $(if $(FUZZ),-fsanitize=fuzzer-no-link)
LDFLAGS += -pthread $(if $(SAN),-fsanitize=$(SAN)) -Wl,--as-needed
LIBS    := -lyaml -lzstd -lxxhash -lpcre2-8 -ldnnl -lz -ldl -lm

TOOLS   := tokenize pack shard train merge view
PLUGIN_SRC := $(wildcard lib/comm/mpi*.c)
CUDA_SRC := $(wildcard lib/tensor/cuda/*.cu lib/tensor/cuda/*.c lib/comm/nccl*.c lib/comm/staged*.c lib/comm/wire*.c)
LIB_SRC := $(filter-out $(PLUGIN_SRC) $(CUDA_SRC),$(wildcard lib/*/*.c lib/tensor/cpu/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(B)/gen/chat_templates.o
LIB     := $(B)/libax.a
BIN     := $(foreach t,$(TOOLS),$(if $(wildcard tools/$(t)/main.c),$(B)/bin/ax-$(t)))
PLUGIN  := $(if $(filter 1,$(MPI)),$(B)/lib/ax/libax-mpi.so) $(if $(filter 1,$(CUDA)),$(B)/lib/ax/libax-cuda.so)
TEST_SRC := $(wildcard tests/unit/test_*.c tests/parity/test_*.c tests/op/test_*.c tests/dist/test_*.c tests/fault/test_*.c)
# programs that shell tests run
TEST_SRC += $(wildcard tests/*/cmp_*.c tests/*/gen_*.c)
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)

.PHONY: all fuzz fuzz-bins check check-long check-gpu check-bins demo lint install uninstall clean dist bench bench-gpu bundle gpu-kit
all: $(BIN) $(PLUGIN)

# ISA-specific kernels: one file an instruction set, chosen at run time.
$(B)/lib/tensor/cpu/%_avx2.o: CFLAGS += -mavx2 -mfma -ffp-contract=fast
$(B)/lib/tensor/cpu/%_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mfma -ffp-contract=fast
$(B)/lib/tensor/cpu/%.o: CFLAGS += -O3
$(B)/lib/fmt/block.o $(B)/lib/fmt/stream_totals.o: CFLAGS += -O3
$(B)/lib/text/json.o $(B)/lib/text/json_str.o $(B)/lib/text/val.o: CFLAGS += -O3
$(patsubst %.c,$(B)/%.o,$(wildcard lib/text/jinja*.c)): CFLAGS += -O3
$(B)/lib/tok/%_avx2.o: CFLAGS += -mavx2 -mbmi -mbmi2 -mlzcnt -mpopcnt
$(B)/lib/tok/%_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512vbmi2 -mbmi -mbmi2 -mlzcnt -mpopcnt

$(B)/%.o: %.c Makefile config.mk VERSION
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What is not installed is said once, with the remedy, before the first of many compiler messages.
HEADERS := yaml.h zstd.h xxhash.h pcre2.h zlib.h dnnl.h
$(B)/gen/headers: Makefile
	@mkdir -p $(@D)
	@for h in $(HEADERS); do \
		printf '#if !__has_include(<%s>)\n#error\n#endif\n' $$h | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 || missing="$$missing $$h"; \
	done; [ -z "$$missing" ] || { echo "not installed:$$missing; sh scripts/deps.sh installs what ax is built with" >&2; exit 1; }
	@touch $@
$(LIB_OBJ): | $(B)/gen/headers
$(B)/lib/tensor/device.o: $(DEV_WALL)

# Chat templates are files; the program carries their text.
$(B)/gen/chat_templates.c: lib/tok/chat/embed.sh $(wildcard lib/tok/chat/*.jinja)
	@mkdir -p $(@D)
	$(Q)sh $< >$@.part && mv $@.part $@
$(B)/gen/chat_templates.o: $(B)/gen/chat_templates.c Makefile config.mk
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

define tool_rule
$(B)/bundle/bin/ax-$(1): LDFLAGS += -s -Wl,--disable-new-dtags,-rpath,'$$$$ORIGIN/../lib'
$(B)/bin/ax-$(1) $(B)/bundle/bin/ax-$(1): $(patsubst %.c,$(B)/%.o,$(wildcard tools/$(1)/*.c)) $(LIB)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rule,$(t))))

# The tools with failing allocations and file calls (base/fault.h), for tests/fault: the same objects but for these.
FAULT_OBJ := $(patsubst %.c,$(B)/faults/%.o,lib/base/fault.c lib/base/mem.c lib/base/io.c lib/base/dir.c)
FAULT_BIN := $(BIN:$(B)/bin/%=$(B)/faults/bin/%)
$(B)/faults/%.o: %.c Makefile config.mk VERSION
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -DAX_FAULTS $(CFLAGS) -MMD -MP -c -o $@ $<
# they look for plugins beside themselves
$(B)/faults/lib/ax:
	@mkdir -p $(@D)
	$(Q)ln -sfn ../../lib/ax $@
define fault_rule
$(B)/faults/bin/ax-$(1): $(patsubst %.c,$(B)/%.o,$(wildcard tools/$(1)/*.c)) $(FAULT_OBJ) $(LIB) | $(B)/faults/lib/ax
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call fault_rule,$(t))))

# The MPI plugin: built with mpicc, opened at run time, so that the tools run where no MPI is installed.
PLUGIN_BASE := lib/base/err.c lib/base/mem.c lib/base/fault.c
$(B)/lib/ax/libax-mpi.so: $(PLUGIN_SRC) $(PLUGIN_BASE) $(wildcard lib/comm/*.h lib/base/*.h) Makefile VERSION
	$(call say,MPICC,$@)
	@mkdir -p $(@D)
	$(Q)$(MPICC) $(CPPFLAGS) $(CFLAGS) -O3 -shared $(LDFLAGS) -o $@ $(PLUGIN_SRC) $(PLUGIN_BASE)

include lib/tensor/cuda/build.mk

$(B)/tests/%: $(B)/tests/%.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) -lcmocka $(LIBS)

# Fuzz targets replay their corpus through a plain main(); with clang, make FUZZ=1 links libFuzzer instead.
$(FUZZ_BIN): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(if $(FUZZ),,$(B)/tests/fuzz/replay.o) $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

# Benchmarks are built here and run by hand: bench/NAME/run.sh says what each measures.
BENCH_BIN := $(patsubst %.c,$(B)/%,$(wildcard bench/*/bench.c) bench/tokenize/chat.c bench/gpu/ops.c)
$(B)/bench/%: $(B)/bench/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)
bench: $(BENCH_BIN)

# The GPU beside PyTorch (AX_PYTHON, a Python with torch and transformers); ONLY and MODELS choose parts. bench/gpu/README
bench-gpu: $(BIN) $(B)/bench/gpu/ops cuda
	$(Q)BUILD=$(B) sh bench/gpu/run.sh "$(ONLY)" "$(MODELS)"

# The CUDA sources on the CPU, for the suite "cuda"; sanitizers are flavours of their own there.
include tests/cudasim/build.mk

# Fuzzing with sanitizers, which needs clang: FUZZ_SECONDS for each of FUZZ_TARGETS (names as json, jinja; all), FUZZ_JOBS at once.
FUZZ_SECONDS ?= 60
FUZZ_JOBS    ?= 1
fuzz-bins: $(FUZZ_TARGETS:%=$(B)/tests/fuzz/fuzz_%) $(if $(FUZZ_TARGETS),,$(FUZZ_BIN))
fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang OPT=-O1 SAN=address,undefined FUZZ=1 FUZZ_TARGETS="$(FUZZ_TARGETS)" fuzz-bins
	$(Q)BUILD=build-address-undefined-fuzz sh tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_JOBS) $(FUZZ_TARGETS)

check-bins: all $(FAULT_BIN) $(TEST_BIN) $(FUZZ_BIN) $(B)/bench/gpu/ops $(if $(SAN),,$(if $(filter 1,$(SIM)),$(SIM_BIN)))

check: check-bins
	$(Q)BUILD=$(B) sh tests/run.sh $(SUITES)

check-long: check-bins $(if $(SAN),,$(if $(filter 1,$(SIM)),$(SIM_LONG_BIN)))
	$(Q)BUILD=$(B) AX_LONG=1 sh tests/run.sh

# On a machine with an NVIDIA GPU. AX_TEST_DEVICE=cuda makes the op tests run on it, and on it alone.
check-gpu: check-bins cuda $(B)/gpu/test_wrappers $(B)/gpu/test_layouts
	$(Q)BUILD=$(B) AX_TEST_DEVICE=cuda sh tests/run.sh op gpu

lint:
	$(Q)BUILD=$(B) sh tests/run.sh lint

demo:
	$(Q)sh scripts/deps.sh
	$(Q)$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) all
	$(Q)$(MAKE) --no-print-directory -C examples/arith clean
	$(Q)$(MAKE) --no-print-directory -C examples/arith report

# Where things go; quoted in the recipes, since DESTDIR may hold a space. Quoted, a ~ that the shell left alone means nothing.
ROOT    := $(DESTDIR)$(PREFIX:~/%=$(HOME)/%)
DATADIR := $(ROOT)/share
BASHDIR := $(DATADIR)/bash-completion/completions
ZSHDIR  := $(DATADIR)/zsh/site-functions
FISHDIR := $(DATADIR)/fish/vendor_completions.d

# Modes are said, never taken from the caller's umask.
install: all
	install -d '$(ROOT)/bin' '$(ROOT)/lib/ax' '$(DATADIR)/ax'
	install -d '$(DATADIR)/man/man1' '$(DATADIR)/man/man5' '$(DATADIR)/man/man7' '$(BASHDIR)' '$(ZSHDIR)' '$(FISHDIR)'
	install -m 755 $(BIN) '$(ROOT)/bin'
	$(if $(strip $(PLUGIN)),install -m 755 $(PLUGIN) '$(ROOT)/lib/ax')
	install -m 644 share/ax/ax.mk '$(DATADIR)/ax'
	for s in 1 5 7; do install -m 644 man/*.$$s '$(DATADIR)'/man/man$$s || exit 1; done
	@mkdir -p $(B)/gen
	for t in $(notdir $(BIN)); do \
		for s in bash zsh fish; do $(B)/bin/$$t --completion $$s > $(B)/gen/$$t.$$s || exit 1; done && \
		install -m 644 $(B)/gen/$$t.bash '$(BASHDIR)'/$$t && \
		install -m 644 $(B)/gen/$$t.zsh '$(ZSHDIR)'/_$$t && \
		install -m 644 $(B)/gen/$$t.fish '$(FISHDIR)'/$$t.fish || exit 1; \
	done

uninstall:
	for t in $(TOOLS:%=ax-%); do rm -f '$(ROOT)/bin'/$$t '$(BASHDIR)'/$$t '$(ZSHDIR)'/_$$t '$(FISHDIR)'/$$t.fish || exit 1; done
	for f in $(notdir $(wildcard man/*.[157])); do rm -f '$(DATADIR)'/man/man$${f##*.}/$$f || exit 1; done
	rm -rf '$(ROOT)/lib/ax' '$(DATADIR)/ax'

# A source archive of the committed tree.
dist:
	mkdir -p dist && git archive --prefix=ax-$(VERSION)/ -o dist/ax-$(VERSION).tar.gz HEAD

# A folder that runs on another Linux machine.
bundle: $(BIN:$(B)/bin/%=$(B)/bundle/bin/%) $(BIN) $(PLUGIN) $(if $(shell command -v $(NVCC) 2>/dev/null),cuda)
	$(Q)sh scripts/bundle.sh $(B) $(CURDIR)/dist/ax-$(VERSION)-$(shell uname -m)

# The bundle with the tests and benchmarks for a machine with a GPU that cannot build them: scripts/gpu-session.sh
gpu-kit: bundle $(filter $(B)/tests/op/%,$(TEST_BIN)) $(B)/bench/gpu/ops $(B)/gpu/test_wrappers $(B)/gpu/test_layouts
	$(Q)sh scripts/gpu-kit.sh dist/ax-$(VERSION)-$(shell uname -m) $(B) dist/gpu-kit.tar.gz

clean:
	rm -rf build build-*

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.SECONDARY:
