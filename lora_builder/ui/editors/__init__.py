"""What the scripts of the crop editor and the caption table ask and save.

The scripts (`static/crop.js`, `static/caption.js`) draw and hold no rule of ours: what is legal, what
is wrong and what is saved is decided here and in the rooms below. Names and captions leave as JSON.
"""
