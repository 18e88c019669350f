"""Plan -> the C of one network: model.h, model.c and its constants."""
