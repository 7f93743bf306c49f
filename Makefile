# tally: `make run` shows it, `make test` proves it, `make help` lists the rest.
#
# BUILD=folder   where everything goes (default build)      V=1   shows the commands
# CFLAGS, LDFLAGS, CC are yours; what the code needs is in TALLY_*.
# AGENT=no       a library that cannot attach: without thread, socket and shared memory (in a BUILD of its own)

BUILD ?= build
CFLAGS ?= -O2 -g
CC ?= cc
NPM ?= npm
PYTHON ?= python3

VERSION := $(shell sed -n 's/.*TALLY_VERSION "\(.*\)"/\1/p' include/tally.h)
ABI := $(shell sed -n 's/.*TALLY_ABI \([0-9]*\)u/\1/p' include/tally.h)

TALLY_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD)
TALLY_CFLAGS := -std=gnu11 -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
                -fvisibility=hidden -fno-strict-aliasing -pthread

# What a memory error in the programs that listen to strangers meets; CFLAGS comes after it, and wins. FORTIFY takes an
# optimizer, and no sanitizer beside it.
MACHINE := $(shell $(CC) -dumpmachine)
HARDENED_CFLAGS := -fPIE -fstack-protector-strong -fstack-clash-protection -fno-delete-null-pointer-checks -fno-strict-overflow \
  $(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero) \
  $(if $(filter x86_64%,$(MACHINE)),-fcf-protection=full) $(if $(filter aarch64%,$(MACHINE)),-mbranch-protection=standard) \
  $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),$(if $(findstring -fsanitize,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
HARDENED_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code

# ---- sources, a folder a line, in the order of the data's way
WIRE_SRCS := src/wire/message.c src/wire/ring_read.c src/wire/snapshot.c
FEED_SRCS := src/feed/feed.c
HEAP_SRCS := $(addprefix src/heap/,error.c type.c counters.c arena.c page.c object.c slot.c release.c light.c weak.c weakmap.c generation.c candidate.c \
  manager.c pace.c run.c shadow.c guess.c merge.c explore.c weigh.c find.c member.c destroy.c shapes.c finalizers.c garbage.c roots.c memory.c scope.c inspect.c report.c \
  safepoint.c snapshot.c thread.c transfer.c fork.c verify.c heap.c)
AGENT ?= yes
AGENT_SRCS := $(if $(filter no,$(AGENT)),src/agent/absent.c,$(addprefix src/agent/,attach.c capture.c child.c command.c grow.c link.c listing.c memory.c process.c profile.c request.c session.c status.c thread.c))
LIB_SRCS := src/base/map.c $(WIRE_SRCS) $(FEED_SRCS) $(HEAP_SRCS) $(AGENT_SRCS)

INTAKE_SRCS := $(addprefix src/intake/,intake.c client.c command.c feed.c sample.c ending.c)
STATS_SRCS := $(addprefix src/stats/,baseline.c model.c texts.c births.c events.c detail.c runs.c forecast.c growth.c trend.c suspects.c apps.c tail.c publish.c)
OPERATIONS_SRCS := $(addprefix src/operations/,operations.c ride.c rows.c snapshot.c audit.c)
HISTORY_SRCS := $(addprefix src/history/,record.c queue.c file.c migrate.c check.c base.c retain.c writer.c series.c subject.c collected.c sampler.c ticker.c reader.c stretch.c query.c lists.c purge.c history.c)
SNAPSHOT_SRCS := $(addprefix src/snapshot/,store.c describe.c receive.c index.c load.c edges.c dominators.c reach.c analyse.c graph.c select.c links.c export.c \
  export_heapsnapshot.c export_pprof.c)
RULES_SRCS := $(addprefix src/rules/,series.c window.c parse.c alerts.c act.c engine.c keep.c rules.c)
API_SRCS := $(addprefix src/api/,server.c connections.c target.c guard.c parameters.c json.c credentials.c tokens.c session.c asked.c \
  respond.c negotiate.c represent.c bodies.c worker.c repeat.c list.c \
  schema.c openapi.c files.c \
  views.c details.c forecast.c baselines.c compare.c weaken.c suspects.c reads.c lists.c snapshot.c controls.c operations.c listings.c batch.c events.c times.c trace.c history.c rules.c \
  artifacts.c artifact_objects.c downloads.c tickets.c stream.c channel.c)
METRICS_SRCS := src/api/answers.c src/api/metrics.c $(addprefix src/api/metrics_,text.c subject.c types.c own.c page.c)
SANDBOX_SRCS := src/sandbox/sandbox.c
TALLYD_SRCS := $(addprefix src/tallyd/,options.c settings.c config.c service.c folders.c listen.c capture.c wiring.c)
DAEMON_SRCS := src/base/map.c src/base/log.c src/base/pulse.c src/base/file.c src/base/mapped.c src/base/text.c $(WIRE_SRCS) $(INTAKE_SRCS) $(STATS_SRCS) $(OPERATIONS_SRCS) $(SNAPSHOT_SRCS) $(HISTORY_SRCS) $(RULES_SRCS) $(API_SRCS) $(METRICS_SRCS) $(SANDBOX_SRCS) $(TALLYD_SRCS)
DAEMON_LIBS := -lm -lmicrohttpd -ljansson -lz -linih -lsystemd -lseccomp -lnettle -lsqlite3

TALLYCTL_SRCS := $(addprefix src/tallyctl/,main.c cli.c help.c form.c option.c wake.c text.c table.c columns.c place.c client.c sse.c answer.c match.c request.c save.c \
  show_program.c show_past.c show_daemon.c show_leaks.c inspect.c setting.c operation.c control.c token.c past.c rules.c daemon.c artifact.c judge.c assert.c \
  tail.c changes.c watch.c completion.c canvas.c screen.c top.c top_model.c top_draw.c top_page.c top_keys.c top_calls.c doctor.c doctor_daemon.c doctor_files.c doctor_proc.c)
TALLYCTL_LIBS := -lcurl -ljansson -lncursesw -ltinfo -lm
MAL_SRCS := $(addprefix src/mal/,main.c mal.c values.c symbols.c sequence.c map.c env.c reader.c printer.c eval.c call.c quote.c core.c core_text.c \
  core_sequence.c input.c)
REPLAY_SRCS := src/base/text.c $(addprefix src/replay/,script.c lex.c lines.c names.c roots.c object.c action.c event.c world.c command.c build.c \
  generate.c control.c print.c query.c run.c main.c)

# Files the dashboard is made of: modules and styles are bundled, the others are embedded in tallyd as they are.
WEB_SRCS := $(wildcard web/*.css web/*.js web/views/*.js web/vendor/*.css web/vendor/*.js)
WEB_FILES := $(wildcard web/*.html web/*.svg)

obj = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJS := $(call obj,$(LIB_SRCS))
LIB_PIC_OBJS := $(patsubst src/%.c,$(BUILD)/pic/%.o,$(LIB_SRCS))
DAEMON_OBJS := $(call obj,$(DAEMON_SRCS))

PROGRAMS := $(BUILD)/tallyd $(BUILD)/tallyctl $(BUILD)/tally-mal $(BUILD)/tally-replay $(BUILD)/tally-bench
LIBRARIES := $(BUILD)/libtally.a $(BUILD)/libtally.so $(BUILD)/tally.pc

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

.PHONY: all
all: $(LIBRARIES) $(PROGRAMS) ## build everything (no root needed)

$(BUILD)/obj/%.o: src/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(CPPFLAGS) $(TALLY_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/pic/%.o: src/%.c
	$(call say,PIC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(CPPFLAGS) $(TALLY_CFLAGS) $(CFLAGS) -fPIC -MMD -MP -c $< -o $@

HARDENED_OBJS := $(call obj,src/tallyd/main.c $(filter-out $(LIB_SRCS),$(DAEMON_SRCS)) $(TALLYCTL_SRCS))
$(HARDENED_OBJS): TALLY_CFLAGS += $(HARDENED_CFLAGS)
$(HARDENED_OBJS): $(BUILD)/hardened
# Changes when the flags do.
.PHONY: flags
$(BUILD)/hardened: flags
	@mkdir -p $(@D)
	@echo '$(HARDENED_CFLAGS) $(HARDENED_LDFLAGS)' | cmp -s - $@ || echo '$(HARDENED_CFLAGS) $(HARDENED_LDFLAGS)' > $@

# The Makefile says what goes into them.
$(BUILD)/libtally.a: $(LIB_OBJS) Makefile
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/libtally.so: $(LIB_PIC_OBJS)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libtally.so.$(ABI) -Wl,-z,nodelete,-z,relro,-z,now $(CFLAGS) $(LDFLAGS) $^ -o $@ -pthread
	@ln -sf libtally.so $@.$(ABI)

PC_TEXT := Name: tally\nDescription: reference counting and a cycle collector for C, observable while it runs\nVersion: %s\nCflags: -I%s\nLibs: -L%s -ltally -pthread\n

$(BUILD)/tally.pc: include/tally.h
	@mkdir -p $(@D)
	$(Q)printf '$(PC_TEXT)' '$(VERSION)' '$(CURDIR)/include' '$(abspath $(BUILD))' > $@

$(BUILD)/libtallyd.a: $(DAEMON_OBJS) $(BUILD)/obj/web_files.o $(BUILD)/obj/schema_files.o Makefile
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/tallyd: $(BUILD)/obj/tallyd/main.o $(BUILD)/libtallyd.a
	$(call say,LD,$@)
	$(Q)$(CC) $(HARDENED_LDFLAGS) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS) -pthread

$(BUILD)/tallyctl: $(call obj,$(TALLYCTL_SRCS))
	$(call say,LD,$@)
	$(Q)$(CC) $(HARDENED_LDFLAGS) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(TALLYCTL_LIBS)

$(BUILD)/tally-mal: $(call obj,$(MAL_SRCS)) $(BUILD)/libtally.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -pthread

$(BUILD)/tally-replay: $(call obj,$(REPLAY_SRCS)) $(BUILD)/libtally.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -pthread

BENCH_SRCS := $(addprefix tests/bench/,main.c measure.c counting.c cycles.c pauses.c graph.c graph_file.c growth.c stream.c ingest.c daemon.c attached.c history.c client.c http.c \
  sse.c collect.c snapshot.c analysis.c)
BENCH_OBJS := $(call obj,$(STATS_SRCS) $(HISTORY_SRCS) $(addprefix src/snapshot/,index.c load.c edges.c dominators.c reach.c) src/base/log.c src/base/mapped.c src/base/pulse.c src/base/text.c)

$(BUILD)/tally-bench: $(BENCH_SRCS) $(wildcard tests/bench/*.h) $(BENCH_OBJS) $(BUILD)/libtally.a
	$(call say,CC,tests/bench)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(CPPFLAGS) $(TALLY_CFLAGS) $(CFLAGS) $(LDFLAGS) $(BENCH_SRCS) $(BENCH_OBJS) $(BUILD)/libtally.a \
	  -o $@ -lzstd -lm -lsqlite3 -ljansson -lsystemd -lmicrohttpd -pthread

# ---- web assets: bundled into a module and a sheet, and embedded by the assembler
web/node_modules/.stamp: web/package.json web/package-lock.json
	$(call say,NPM,web)
	$(Q)cd web && $(NPM) ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(BUILD)/web/.stamp: $(WEB_SRCS) web/node_modules/.stamp
	$(call say,BUNDLE,web)
	$(Q)web/node_modules/.bin/esbuild web/main.js web/page.css --bundle --format=esm --target=es2022 --minify --charset=utf8 \
	  --outdir=$(@D) --log-level=warning
	$(Q)sed -i 's/^ *//' $(@D)/main.js # lines that are left lie in templates, where htm drops indents
	@touch $@

$(BUILD)/web_files.c: src/api/embed.sh $(WEB_FILES) $(BUILD)/web/.stamp
	$(call say,EMBED,web)
	$(Q)src/api/embed.sh web $(BUILD)/packed $(foreach f,$(WEB_FILES),$(f:web%=%)=$(f)) /main.js=$(BUILD)/web/main.js \
	  /page.css=$(BUILD)/web/page.css > $@.new && mv $@.new $@

SCHEMA_FILES := $(wildcard src/api/schemas/*.json)

$(BUILD)/schema_files.c: src/api/embed.sh $(SCHEMA_FILES)
	$(call say,EMBED,src/api/schemas)
	@mkdir -p $(@D)
	$(Q)src/api/embed.sh schema $(BUILD)/packed $(foreach f,$(SCHEMA_FILES),$(notdir $(f))=$(f)) > $@.new && mv $@.new $@

$(BUILD)/obj/%_files.o: $(BUILD)/%_files.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(TALLY_CFLAGS) $(CFLAGS) -c $< -o $@

# ---- tests
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRCS))
# A unit test of a folder links the folder's side of the house.
unit_objs = $(if $(filter base sandbox intake stats operations snapshot history rules api tallyd,$(1)),$(BUILD)/libtallyd.a $(BUILD)/libtally.a,\
  $(if $(filter mal,$(1)),$(filter-out %/main.o,$(call obj,$(MAL_SRCS))) $(BUILD)/libtally.a,\
  $(if $(filter replay,$(1)),$(filter-out %/main.o,$(call obj,$(REPLAY_SRCS))) $(BUILD)/libtally.a,\
  $(if $(filter tallyctl,$(1)),$(filter-out %/main.o,$(call obj,$(TALLYCTL_SRCS))),$(BUILD)/libtally.a))))
unit_libs = $(if $(filter base sandbox intake stats operations snapshot history rules api tallyd,$(1)),$(DAEMON_LIBS),$(if $(filter tallyctl,$(1)),$(TALLYCTL_LIBS)))

UNIT_LINK_heap/test_want := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=mmap,--wrap=madvise
UNIT_LINK_base/test_text := -Wl,--wrap=realloc
UNIT_LINK_snapshot/test_wants := $(foreach c,malloc calloc realloc mmap open write pread splice posix_fallocate fsync rename eventfd pipe2 pthread_create,-Wl,--wrap=$(c))
UNIT_LINK_base/test_log := -Wl,--wrap=sd_journal_sendv
UNIT_LINK_heap/test_counters := -Wl,--wrap=mmap

.PHONY: unit heap-unit
unit: $(UNIT_TESTS)
heap-unit: $(filter $(BUILD)/unit/heap/% $(BUILD)/unit/agent/%,$(UNIT_TESTS))
define UNIT_RULE
$(BUILD)/obj/unit/$(1)/$(2).o: tests/unit/$(1)/$(2).c
	$$(call say,CC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(TALLY_CPPFLAGS) $$(CPPFLAGS) $$(TALLY_CFLAGS) -Wno-missing-prototypes $$(CFLAGS) -MMD -MP -c $$< -o $$@

$(BUILD)/unit/$(1)/$(2): $(BUILD)/obj/unit/$(1)/$(2).o $(call unit_objs,$(1))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) $$< $(call unit_objs,$(1)) -o $$@ -lcmocka $(call unit_libs,$(1)) \
	  $(UNIT_LINK_$(1)/$(2)) -pthread
endef
$(foreach t,$(UNIT_SRCS),$(eval $(call UNIT_RULE,$(notdir $(patsubst %/,%,$(dir $(t)))),$(basename $(notdir $(t))))))

# ---- fuzzing: each target replays its corpus in the suite; `make fuzz` builds it with libFuzzer and lets it run
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAYS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRCS))
FUZZ_OBJS = $(filter-out %/main.o,$(call obj,$(MAL_SRCS) $(REPLAY_SRCS) src/tallyctl/sse.c src/tallyctl/text.c)) $(BUILD)/libtallyd.a $(BUILD)/libtally.a
FUZZ_SECONDS ?= 60

$(BUILD)/fuzz/%: tests/fuzz/%.c tests/fuzz/replay_main.c $(FUZZ_OBJS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(CPPFLAGS) $(TALLY_CFLAGS) -Wno-missing-prototypes $(CFLAGS) $(LDFLAGS) \
	  $(if $(FUZZER),-fsanitize=fuzzer $<,$< tests/fuzz/replay_main.c) $(FUZZ_OBJS) -o $@ $(DAEMON_LIBS) -pthread

.PHONY: fuzz
fuzz: ## fuzz every parser for FUZZ_SECONDS (default 60) each, with clang
	$(Q)$(MAKE) BUILD=$(BUILD)/fuzzer CC=clang FUZZER=1 \
	  CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' fuzz-programs
	$(Q)for program in $(notdir $(FUZZ_REPLAYS)); do \
	  echo "$$program"; mkdir -p $(BUILD)/fuzzer/found/$$program; \
	  $(BUILD)/fuzzer/fuzz/$$program -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/fuzzer/found/$$program- \
	    $(BUILD)/fuzzer/found/$$program tests/fuzz/corpus/$${program#fuzz_} || exit 1; \
	done

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_REPLAYS)

# ---- scenario hosts: programs that embed libtally as anybody would
HOSTS := $(patsubst tests/scenario/hosts/%.c,$(BUILD)/hosts/%,$(wildcard tests/scenario/hosts/*.c))

$(BUILD)/hosts/%: tests/scenario/hosts/%.c $(BUILD)/libtally.a
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TALLY_CPPFLAGS) $(CPPFLAGS) $(TALLY_CFLAGS) $(CFLAGS) $(LDFLAGS) $< $(BUILD)/libtally.a -o $@ -pthread

.PHONY: hosts
hosts: $(HOSTS)

# ---- what people type
.PHONY: run
run: ## set up, build, and show tallyd with two programs until Ctrl-C
	@config/setup.sh run
	@$(MAKE) --no-print-directory all
	@config/demo.sh $(BUILD)

.PHONY: test
test: ## set up, build, and run the whole suite
	@config/setup.sh test
	@$(MAKE) --no-print-directory check

TESTED = all unit fuzz-programs hosts

.PHONY: check
check: ## the suite without the set-up; ONLY=unit,replay,... for a part of it
	@$(MAKE) --no-print-directory $(TESTED)
	@TALLY_TEST_LINK='$(filter -fsanitize%,$(CFLAGS))' $(PYTHON) tests/run.py --build $(BUILD) $(if $(ONLY),--only $(ONLY))

N ?= 300
SEED ?= 1
.PHONY: check-oracle
check-oracle: all ## N (default 300) random scripts from SEED on against CPython 3.11, in every mode
	@$(PYTHON) tests/replay/oracle.py --replay $(BUILD)/tally-replay $(N) $(SEED)

.PHONY: check-asan
check-asan: ## the suite but for the page under AddressSanitizer, UndefinedBehaviorSanitizer and debug checks: before a release
	@config/setup.sh test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CPPFLAGS='$(CPPFLAGS) -DTALLY_DEBUG' \
	  CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all' \
	  ONLY=$(or $(ONLY),run,unit,replay,oracle,mal,fuzz,scenario,api) check

.PHONY: check-tsan
check-tsan: ## units, scenarios and every operation of the API under ThreadSanitizer; ONLY=unit for a part: before a release
	@config/setup.sh test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CC=clang CFLAGS='-O1 -g -fsanitize=thread' ONLY=$(or $(ONLY),unit,scenario,api) check

# The folders that hold for another processor too: the counters' C path, its alignment, its limits. Its weaker memory
# order is not among it where qemu runs on x86.
.PHONY: arm64-unit check-arm64
arm64-unit: $(filter $(foreach folder,wire feed heap,$(BUILD)/unit/$(folder)/%),$(UNIT_TESTS))
check-arm64: ## the unit tests of wire, feed and heap, cross-built for arm64, under qemu-user
	@config/setup.sh arm64
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/arm64 CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar arm64-unit
	@$(PYTHON) tests/run.py --build $(BUILD)/arm64 --only unit --through qemu-aarch64

COVERAGE = $(BUILD)/coverage
.PHONY: check-coverage
check-coverage: ## branch coverage of src/heap, against tests/coverage/exceptions.txt (needs gcovr)
	@config/setup.sh test
	@mkdir -p $(COVERAGE) && find $(COVERAGE) -name '*.gcda' -delete
	$(Q)$(CC) -c tests/coverage/exit.c -o $(COVERAGE)/exit.o
	@$(MAKE) --no-print-directory BUILD=$(COVERAGE) CFLAGS='-O0 -g --coverage -fprofile-abs-path' \
	  LDFLAGS='-Wl,--wrap=_exit $(abspath $(COVERAGE))/exit.o' heap-unit $(COVERAGE)/tally-replay
	@$(PYTHON) tests/run.py --build $(COVERAGE) --only unit,replay
	@$(PYTHON) tests/replay/oracle.py --replay $(COVERAGE)/tally-replay 50 1
	@$(PYTHON) tests/coverage/coverage.py $(COVERAGE)

PAIRS ?= 5
MINUTES ?= 60
.PHONY: bench
bench: all ## tally-bench and the peers that are installed in turn, PAIRS times; ONLY=W1,..., PEERS='FOLDER ...'
	@$(PYTHON) tests/bench/bench.py --build $(BUILD) --pairs $(PAIRS) --only '$(ONLY)' $(PEERS:%=--peers %)

.PHONY: pictures
pictures: all ## pictures of every view of the dashboard, into BUILD/pictures, and those of the README
	@TALLY_BUILD=$(abspath $(BUILD)) node tests/browser/pictures.mjs

.PHONY: bench-page bench-page-heap
bench-page: all $(BUILD)/hosts/bazaar $(BUILD)/hosts/swarm ## the page in Chromium: its size, first paint, frames with 1,000 processes and 10,000 types; ONLY=size,paint,...
	@TALLY_BUILD=$(abspath $(BUILD)) ONLY='$(ONLY)' node tests/bench/page.mjs

bench-page-heap: all ## the page's memory while it streams for MINUTES
	@TALLY_BUILD=$(abspath $(BUILD)) node tests/bench/page_heap.mjs $(MINUTES)

SOAK_SECONDS ?= 1800
.PHONY: soak
soak: all hosts ## everything that tallyd does at once for SOAK_SECONDS (default 1800): memory flat, ledgers exact
	@SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) tests/scenario/run.py --build $(BUILD) -v -k test_soak

COUNT ?= 200
.PHONY: check-mutation
check-mutation: ## COUNT (default 200) random changes of src/heap, of which its tests must notice 90 %
	@config/setup.sh test
	@$(PYTHON) tests/mutation/mutate.py $(COUNT) $(SEED)

.PHONY: lint
lint: all ## warnings of gcc and clang as errors, layers, headers, exports, sizes, the page's types
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/gcc CC=gcc CFLAGS='-O2 -Werror' $(TESTED)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang CFLAGS='-O1 -Werror' $(TESTED)
	@$(PYTHON) tests/lint/lint.py $(BUILD)
	@cd web && npm run --silent check

.PHONY: check-fresh
check-fresh: ## in a debootstrap root of bare Debian 12: clone, make test, make run (as root)
	@tests/fresh/fresh.sh

# ---- manual pages, made of the tables and of tally.h
MANUALS := $(BUILD)/tally.3 $(BUILD)/tallyd.8 $(BUILD)/tallyd.conf.5 $(BUILD)/tallyctl.1

$(BUILD)/tally.3: include/tally.h config/manpage.py
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) config/manpage.py $< $(VERSION) > $@.new && mv $@.new $@

$(filter-out %.3,$(MANUALS)): config/manuals.py config/manpage.py config/tables.py src/stats/fields.def $(wildcard src/tallyd/*.def src/tallyctl/*.def)
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) config/manuals.py $(@F) $(VERSION) > $@.new && mv $@.new $@

# What bash needs to complete tallyctl's words.
$(BUILD)/tallyctl.bash: $(BUILD)/tallyctl
	$(Q)$(BUILD)/tallyctl completion bash > $@.new && mv $@.new $@

.PHONY: man
man: $(MANUALS) ## the manual pages, in $(BUILD): man build/tallyd.8

.PHONY: documents
documents: ## write anew what tables make and git keeps: config/tallyd.conf, src/api/API.md
	$(Q)$(PYTHON) config/conffile.py src/tallyd/options.def > config/tallyd.conf.new && mv config/tallyd.conf.new config/tallyd.conf
	$(Q)$(PYTHON) config/apidoc.py > src/api/API.md.new && mv src/api/API.md.new src/api/API.md

# ---- installation
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/tally
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d

# FROM=TO: what is copied as it is. Units are in config/systemd as they lie below UNITDIR, and name /usr/bin/tallyd.
INSTALLED_PROGRAMS := $(foreach program,tallyd tallyctl tally-mal tally-replay,$(BUILD)/$(program)=$(BINDIR)/$(program))
INSTALLED_FILES := include/tally.h=$(INCLUDEDIR)/tally.h \
  $(BUILD)/libtally.a=$(LIBDIR)/libtally.a $(BUILD)/libtally.so=$(LIBDIR)/libtally.so.$(ABI) \
  $(foreach page,$(MANUALS),$(page)=$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page))) \
  $(BUILD)/tallyctl.bash=$(COMPLETIONDIR)/tallyctl \
  $(foreach file,$(wildcard config/tallyd.conf config/tally.rules.yml config/grafana-dashboard.json),$(file)=$(DATADIR)/$(notdir $(file)))
INSTALLED_FILES += config/tally.sysusers=$(SYSUSERSDIR)/tally.conf
INSTALLED_UNITS := $(foreach unit,$(wildcard config/systemd/system/* config/systemd/user/*),$(unit)=$(UNITDIR)/$(patsubst config/systemd/%,%,$(unit)))

# Everything that is installed, for uninstall and nothing else.
INSTALLED = $(foreach pair,$(INSTALLED_PROGRAMS) $(INSTALLED_FILES) $(INSTALLED_UNITS),$(lastword $(subst =, ,$(pair)))) \
  $(LIBDIR)/libtally.so $(LIBDIR)/pkgconfig/tally.pc

.PHONY: install uninstall
install: all man $(BUILD)/tallyctl.bash ## copy programs, library, header, manual pages, completion and units below PREFIX (default /usr/local) and DESTDIR
	$(Q)for pair in $(INSTALLED_PROGRAMS); do install -D -m 755 "$${pair%%=*}" "$(DESTDIR)$${pair#*=}" || exit 1; done
	$(Q)for pair in $(INSTALLED_FILES); do install -D -m 644 "$${pair%%=*}" "$(DESTDIR)$${pair#*=}" || exit 1; done
	$(Q)for pair in $(INSTALLED_UNITS); do install -D -m 644 "$${pair%%=*}" "$(DESTDIR)$${pair#*=}" && \
	  sed -i 's,/usr/bin/tallyd,$(BINDIR)/tallyd,' "$(DESTDIR)$${pair#*=}" || exit 1; done
	$(Q)ln -sf libtally.so.$(ABI) '$(DESTDIR)$(LIBDIR)/libtally.so'
	$(Q)install -d '$(DESTDIR)$(LIBDIR)/pkgconfig'
	$(Q)printf '$(PC_TEXT)' '$(VERSION)' '$(INCLUDEDIR)' '$(LIBDIR)' > '$(DESTDIR)$(LIBDIR)/pkgconfig/tally.pc'
uninstall: ## remove what install has copied (give the same PREFIX and DESTDIR)
	$(Q)rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	$(Q)rmdir --ignore-fail-on-non-empty $(addprefix $(DESTDIR),$(DATADIR)) 2>/dev/null || true

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

-include $(shell find $(BUILD)/obj $(BUILD)/pic -name '*.d' 2>/dev/null)
