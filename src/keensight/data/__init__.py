"""Room of the images: what do we have?"""
