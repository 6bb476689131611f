"""Images and text through open_clip: any model and pretrained tag, a hub repository, a folder."""
