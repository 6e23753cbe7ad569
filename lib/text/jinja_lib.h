/* The built-in filters, tests and methods, by file; shared by lib/text/jinja_*.c only. */
#ifndef AX_TEXT_JINJA_LIB_H
#define AX_TEXT_JINJA_LIB_H

#include "text/jinja_impl.h"

#define AXJ_BUILTIN(name)                                                                                              \
	int name(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)

/* jinja_filter_str.c */
AXJ_BUILTIN(axj_f_upper);
AXJ_BUILTIN(axj_f_lower);
AXJ_BUILTIN(axj_f_capitalize);
AXJ_BUILTIN(axj_f_title);
AXJ_BUILTIN(axj_f_trim);
AXJ_BUILTIN(axj_f_replace);
AXJ_BUILTIN(axj_f_indent);
AXJ_BUILTIN(axj_f_center);
AXJ_BUILTIN(axj_f_truncate);
AXJ_BUILTIN(axj_f_wordcount);
AXJ_BUILTIN(axj_f_escape);
AXJ_BUILTIN(axj_f_forceescape);
AXJ_BUILTIN(axj_f_safe);
AXJ_BUILTIN(axj_f_string);
AXJ_BUILTIN(axj_f_format);
AXJ_BUILTIN(axj_f_tojson);
AXJ_BUILTIN(axj_f_urlencode);

/* jinja_pprint.c, jinja_wrap.c, jinja_filter_html.c, jinja_urlize.c */
AXJ_BUILTIN(axj_f_urlize);
AXJ_BUILTIN(axj_f_pprint);
AXJ_BUILTIN(axj_f_wordwrap);
AXJ_BUILTIN(axj_f_xmlattr);
AXJ_BUILTIN(axj_f_striptags);

/* jinja_filter_seq.c */
AXJ_BUILTIN(axj_f_join);
AXJ_BUILTIN(axj_f_first);
AXJ_BUILTIN(axj_f_last);
AXJ_BUILTIN(axj_f_list);
AXJ_BUILTIN(axj_f_sort);
AXJ_BUILTIN(axj_f_dictsort);
AXJ_BUILTIN(axj_f_groupby);
AXJ_BUILTIN(axj_f_min);
AXJ_BUILTIN(axj_f_max);
AXJ_BUILTIN(axj_f_sum);
AXJ_BUILTIN(axj_f_reverse);

/* jinja_filter_lazy.c: generators */
AXJ_BUILTIN(axj_f_items);
AXJ_BUILTIN(axj_f_map);
AXJ_BUILTIN(axj_f_select);
AXJ_BUILTIN(axj_f_reject);
AXJ_BUILTIN(axj_f_selectattr);
AXJ_BUILTIN(axj_f_rejectattr);
AXJ_BUILTIN(axj_f_unique);
AXJ_BUILTIN(axj_f_batch);
AXJ_BUILTIN(axj_f_slice);

/* Attribute path "a.b.0", as filters take it: the value, its default (unless ABSENT) where undefined. */
int axj_path(struct axj *r, struct axj_val v, struct axj_val attr, struct axj_val dflt, struct axj_val *out);
/* The same for one item's sort key; strings in lower case unless `cased`. */
int axj_key(struct axj *r, struct axj_val v, struct axj_val attr, struct axj_val dflt, bool cased, struct axj_val *out);
/* The items of a reversed iterator, which is no generator. */
int axj_make_reversed(struct axj *r, struct axj_iter *it, struct axj_list *out);
/* A generator with a copy of its arguments. */
int axj_new_iter(struct axj *r, const char *name, int (*make)(struct axj *, struct axj_iter *, struct axj_list *),
		 struct axj_val value, struct axj_args *args, struct axj_val *out);

/* Case: kinds of mapping. */
enum axj_case { AXJ_LOWER, AXJ_UPPER, AXJ_TITLECASE, AXJ_FOLD };
/* Mapping of one character: up to three. Returns their number; 0 if it stays as it is. */
size_t axj_map_case(enum axj_case kind, uint32_t c, uint32_t out[3]);
/* Append s with every character mapped by `kind`. */
int axj_put_case(struct axj *r, const struct axj_str *s, size_t from, size_t to, enum axj_case kind);
int axj_case_str(struct axj *r, const struct axj_str *s, enum axj_case kind, struct axj_val *out);
/* str.isupper() or islower() */
bool axj_all_case(const struct axj_str *s, bool upper);
/* str.strip: sides 1 left, 2 right; chars NULL: white space. */
int axj_strip(struct axj *r, struct axj_str *s, const struct axj_str *chars, int sides, struct axj_val *out);
/* str.replace; max < 0: all. */
int axj_replace(struct axj *r, struct axj_str *s, const struct axj_str *old, const struct axj_str *new, int64_t max, struct axj_val *out);
/* End of the line that starts at `from` and the start of the next, by str.splitlines' breaks. */
size_t axj_line_end(const struct axj_str *s, size_t from, size_t *next);
/* str.center, ljust, rjust: side -1 left, 0 centre, 1 right. */
int axj_pad(struct axj *r, struct axj_str *s, int64_t width, const struct axj_str *fill, int side, struct axj_val *out);

/* Attributes and methods of numbers and ranges; *out stays ABSENT, NULL if there is none of that name. */
int axj_num_attr(struct axj *r, struct axj_val v, const struct axj_str *name, struct axj_val *out);
const struct axj_builtin *axj_find_num_method(struct axj_val v, const struct axj_str *name);
/* Methods of str by name; NULL if there is none. */
const struct axj_builtin *axj_find_str_method(const struct axj_str *name);
const struct axj_builtin *axj_find_str_test(const struct axj_str *name);

#endif
