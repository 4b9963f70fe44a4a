"""The console: what a person may do in an account, in a browser.

Every button is an operation of the API, performed by the one gate for the principal that the console acts as:
the person, or a role that the person has opened. So the console can do nothing that `aws iam …` could not, and each
page view leaves the records of the operations that it was made of.

Pages are one file each, as in the rest of the portal. A form says which operation it is of (`do`) and has the members
of its request by AWS's names; what the page's address names is not taken from the form.
"""
