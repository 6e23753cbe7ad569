/*
 * Names of data sets: from an entry of `datasets` to the files that hold its rows. ax_hub_find() of conf.h finds
 *models.
 *
 *	AX_TRY(ax_hub_dataset(&c, entry, "train", &file, &n_file, e));
 *
 * Nothing is downloaded. A name never leads out of the folder it is looked up in: its parts are plain file names, and a
 * pattern of data_files may not contain "..".
 */
#ifndef AX_CONF_HUB_H
#define AX_CONF_HUB_H

#include "conf/conf.h"

/*
 * Files of a data set entry (path, name, split, data_files, revision), sorted within each pattern. `path` is a file; a
 * pattern of files, as in data_files; a folder, or a data set in the Hub cache; or json, csv, text, parquet or arrow with data_files relative to the working
 * directory. In a folder these are taken: data_files (* and ? match inside a part, ** across parts); else, in one that
 * `datasets` saved, the files that state.json names, in its order, of the split's folder where there is a
 * dataset_dict.json; else what its README.md declares for the configuration `name` and the split; else the files whose
 * names say the split; else, where no name says any, all data files, unless the entry asks for another split than train.
 * `split` ("train[:5%]": the slice is left to the caller) defaults to `dflt_split`. AX_EIO where something is missing;
 * AX_EUSAGE for an unknown configuration or split. The list and its strings are in the conf's arena.
 */
int ax_hub_dataset(struct ax_conf *c, const struct ax_val *entry, const char *dflt_split, const char *const **file,
		   size_t *n_file, struct ax_err *e);

#endif
