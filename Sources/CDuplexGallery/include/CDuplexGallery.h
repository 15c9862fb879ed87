// The gallery's files, in the binary as they stand in the tree.

#ifndef DUPLEX_GALLERY_H
#define DUPLEX_GALLERY_H

struct duplex_gallery_file {
    const char *name;
    const unsigned char *bytes;
    int count;
};

int duplex_gallery_file_count(void);
struct duplex_gallery_file duplex_gallery_file(int index);

#endif
